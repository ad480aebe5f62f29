use super::longest;
use proptest::prelude::*;

fn of(lines: &[&str]) -> Option<u64> {
    longest(&lines.iter().map(|line| line.as_bytes()).collect::<Vec<_>>())
}

#[test]
fn quoted_names_hold_separators_and_escapes() {
    assert_eq!(of(&["\"a,b;r=1\";r=0;t=30"]), Some(30));
    assert_eq!(of(&["\"a\\\",\\\\;t=9\";r=0;t=30, \"b\";r=5;t=99"]), Some(30));
    assert_eq!(of(&["\"a;r=0;t=7\""]), None, "all of it is a name");
    assert_eq!(of(&["\"a=b\";r=0;t=30"]), Some(30));
    assert_eq!(of(&["\"never ended;r=0;t=30, \"b\";r=0;t=60"]), None);
    assert_eq!(of(&["\"a\";pk=:eHk9Zg==:;r=0;t=30;q=\";t=1\""]), Some(30));
}

#[test]
fn several_lines_are_one_list() {
    assert_eq!(of(&["\"a\";r=7;t=5", "\"b\";r=0;t=60", "\"c\";r=0;t=20"]), Some(60));
    assert_eq!(of(&["limit=100, remaining=0", "reset=50"]), Some(50));
    assert_eq!(of(&["broken \"", "\"b\";r=0;t=60"]), Some(60), "one line does not take the next along");
}

#[test]
fn the_form_of_the_earlier_drafts_is_read() {
    assert_eq!(of(&["limit=100, remaining=0, reset=50"]), Some(50));
    assert_eq!(of(&["limit=100,remaining=1,reset=50"]), None);
    assert_eq!(of(&["limit=100, reset=50"]), None);
    assert_eq!(of(&["limit=100;w=60, remaining=0;x=\",\", reset=50"]), Some(50));
}

#[test]
fn tokens_spaces_and_repeated_parameters_are_read() {
    assert_eq!(of(&["default ; r=0 ; t=30"]), Some(30));
    assert_eq!(of(&["default;r=0;t=30;t=40"]), Some(40));
    assert_eq!(of(&["default;r=-3;t=30"]), Some(30));
    for none in ["", ",", ";", "r=0;t=30", "a;r=0", "a;t=3", "a;r=x;t=3", "a;r=0;t=1.5", "a;r;t", "a;=0;=1", "\\"] {
        assert_eq!(of(&[none]), None, "{none:?}");
    }
}

proptest! {
    #[test]
    fn no_line_makes_it_panic(lines in prop::collection::vec("[\"\\\\,;= rt0-9a-z\\x00-\\xff]{0,60}", 0..4)) {
        let _ = of(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn whatever_the_name_is_its_quota_is_found(name in "[ -~]{0,30}", other in "[ -~]{0,30}", wait in 1_u64..100_000) {
        let quote = |name: &str| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        let line = format!("{};r=3;t=999999, {};r=0;t={wait}", quote(&other), quote(&name));
        prop_assert_eq!(of(&[&line]), Some(wait));
    }
}
