use super::CountWindow;

#[test]
fn many_good_calls_at_once_are_as_many_one_after_the_other() {
    let mut random = fastrand::Rng::with_seed(5);
    for size in [1, 7, 31, 32, 33, 64, 100] {
        let (mut at_once, mut singly) = (CountWindow::new(size), CountWindow::new(size));
        for step in 0..2_000 {
            match random.u8(0..5) {
                0 => {
                    let calls = if random.bool() { random.u32(0..5) } else { random.u32(0..=3 * size) };
                    at_once.add_good(calls);
                    (0..calls).for_each(|_| _ = singly.add(false, false));
                }
                1 if singly.added > 0 => {
                    let sample = singly.added - 1 - random.u64(0..singly.added.min(120));
                    at_once.amend(sample);
                    singly.amend(sample);
                }
                2 if random.u8(0..20) == 0 => {
                    at_once.clear();
                    singly.clear();
                }
                _ => {
                    let (failed, slow) = (random.bool(), random.bool());
                    assert_eq!(at_once.add(failed, slow), singly.add(failed, slow));
                }
            }
            assert_eq!(at_once.counts(), singly.counts(), "a window of {size}, step {step}");
        }
    }
}

#[test]
fn four_thousand_million_good_calls_fill_it() {
    let mut window = CountWindow::new(100);
    window.add(true, true);
    window.add_good(u32::MAX);
    let counts = window.counts();
    assert_eq!((counts.total, counts.failed, counts.slow), (100, 0, 0));
}
