use super::*;

#[test]
fn a_kept_origin_is_equal_to_every_spelling_of_it() {
    let spellings: &[&[&str]] = &[
        &["http://api.example.com", "HTTP://u:p@API.example.COM:80/"],
        &["http://api.example.com:0"],
        &["https://api.example.com", "https://api.example.com:0443"],
        &["http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]:8080"],
        &["http://[fe80::1]", "http://[FE80::0001]:80"],
        &["http://[fe80::1%25eth0]", "HTTP://[FE80::1%25eth0]"],
        &["grpc://x", "GRPC://X"],
        &["grpc://x:80"],
        &["grpcs://x"],
        &["grp://x"],
        &["http://x."],
    ];
    for prefix in ["", "webhooks/"] {
        for (n, group) in spellings.iter().enumerate() {
            let kept = OriginKey::new(prefix, Origin::parse(group[0]).unwrap());
            assert_eq!(&*kept.text, format!("{prefix}{}", group[0]));
            for (m, other) in spellings.iter().enumerate() {
                for spelling in *other {
                    let asked = Origin::parse(spelling).unwrap();
                    assert_eq!(kept.is(&asked), n == m, "{kept:?} {spelling}");
                }
            }
            assert!(!kept.is(&Origin::key(group[0])));
        }
    }
    let key = OriginKey::new("tenants/", Origin::key("http://x"));
    assert!(key.is(&Origin::key("http://x")) && !key.is(&Origin::key("HTTP://x")));
}
