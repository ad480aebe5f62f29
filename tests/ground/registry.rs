//! The list of everything that has a name and a state.

use std::sync::Arc;
use steadfast::registry::{Entry, Registry, Value};

struct Pool(&'static str, &'static str);

impl Entry for Pool {
    fn kind(&self) -> &'static str {
        self.0
    }
    fn name(&self) -> &str {
        self.1
    }
    fn state(&self) -> Vec<(&'static str, Value)> {
        vec![("idle", 3_u64.into()), ("open", true.into()), ("share", 0.5.into()), ("is", "well".into())]
    }
}

fn names(registry: &Registry) -> Vec<(&'static str, String)> {
    registry.snapshot().into_iter().map(|s| (s.kind, s.name)).collect()
}

#[test]
fn a_snapshot_is_in_the_order_of_kind_and_name() {
    let registry = Registry::new();
    let pools = [Pool("queue", "a"), Pool("circuit", "z"), Pool("circuit", "b")].map(Arc::new);
    for pool in &pools {
        registry.add(pool);
    }
    assert_eq!(names(&registry), [("circuit", "b".to_owned()), ("circuit", "z".to_owned()), ("queue", "a".to_owned())]);
}

#[test]
fn adding_twice_lists_once_also_through_a_clone() {
    let (registry, pool) = (Registry::new(), Arc::new(Pool("pool", "db")));
    registry.add(&pool);
    registry.clone().add(&pool.clone());
    assert_eq!(names(&registry).len(), 1);
}

#[test]
fn two_entries_of_one_name_are_both_listed() {
    let (registry, one, two) = (Registry::new(), Arc::new(Pool("pool", "db")), Arc::new(Pool("pool", "db")));
    registry.add(&one);
    registry.add(&two);
    assert_eq!(names(&registry).len(), 2);
}

struct Other;

impl Entry for Other {
    fn kind(&self) -> &'static str {
        "pool"
    }
    fn name(&self) -> &'static str {
        "db"
    }
    fn state(&self) -> Vec<(&'static str, Value)> {
        panic!("finding asks nothing")
    }
}

#[test]
fn an_entry_is_found_by_its_type_and_name_and_asked_nothing() {
    let (registry, other) = (Registry::new(), Arc::new(Other));
    let [db, cache] = [Pool("pool", "db"), Pool("pool", "cache")].map(Arc::new);
    registry.add(&other);
    registry.add(&db);
    registry.add(&cache);
    assert!(Arc::ptr_eq(&registry.find::<Pool>("db").unwrap(), &db));
    assert!(Arc::ptr_eq(&registry.find::<Other>("db").unwrap(), &other));
    assert!(registry.find::<Other>("cache").is_none());
    drop(db);
    assert!(registry.find::<Pool>("db").is_none());
}

#[test]
fn what_is_dropped_is_gone_and_leaves_no_room_behind() {
    let registry = Registry::new();
    let kept = Arc::new(Pool("pool", "kept"));
    registry.add(&kept);
    for _ in 0..10_000 {
        registry.add(&Arc::new(Pool("pool", "gone")));
    }
    assert_eq!(names(&registry), [("pool", "kept".to_owned())]);
    let listed: usize =
        format!("{registry:?}").chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
    assert!(listed < 100, "{listed} of 10000 dropped entries are still held");
    assert_eq!(Arc::strong_count(&kept), 1);
}

/// An entry whose state asks the registry itself: no lock is held while it is asked.
#[test]
fn an_entry_may_ask_the_registry_while_it_is_asked() {
    struct Curious(Registry);
    impl Entry for Curious {
        fn kind(&self) -> &'static str {
            "curious"
        }
        fn name(&self) -> &'static str {
            "x"
        }
        fn state(&self) -> Vec<(&'static str, Value)> {
            self.0.add(&Arc::new(Pool("pool", "new")));
            Vec::new()
        }
    }
    let registry = Registry::new();
    let entry = Arc::new(Curious(registry.clone()));
    registry.add(&entry);
    assert_eq!(names(&registry).len(), 1);
}

#[test]
fn the_one_of_the_process_is_always_the_same() {
    let pool = Arc::new(Pool("pool", "of the process"));
    steadfast::registry().add(&pool);
    assert!(names(steadfast::registry::registry()).contains(&("pool", "of the process".to_owned())));
}

#[test]
fn a_snapshot_is_written_out_as_plain_values() {
    let (registry, pool) = (Registry::new(), Arc::new(Pool("pool", "db")));
    registry.add(&pool);
    let json = serde_json::to_value(registry.snapshot()).unwrap();
    let state = serde_json::json!([["idle", 3], ["open", true], ["share", 0.5], ["is", "well"]]);
    assert_eq!(json, serde_json::json!([{ "kind": "pool", "name": "db", "state": state }]));
}
