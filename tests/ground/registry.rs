//! The list of everything that has a name and a state.

use std::{sync::Arc, time::Duration};
use steadfast::registry::{Entry, Registry, Value};
use tokio::time::Instant;

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

fn add_all<E: Entry>(registry: &Registry, entries: &[Arc<E>]) {
    for entry in entries {
        registry.add(entry);
    }
}

/// How many entries the registry holds, those that were dropped included.
fn held(registry: &Registry) -> usize {
    format!("{registry:?}").chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// The least time that a thousand entries take to be added, of several rounds.
fn time_to_add(registry: &Registry, rounds: usize) -> Duration {
    let time = |_| {
        let pools: Vec<_> = (0..1000).map(|_| Arc::new(Pool("pool", "timed"))).collect();
        let start = Instant::now();
        add_all(registry, &pools);
        start.elapsed()
    };
    (0..rounds).map(time).min().unwrap()
}

#[test]
fn adding_takes_as_long_with_forty_thousand_entries_as_with_none_and_dropped_ones_leave_no_trace() {
    let registry = Registry::new();
    let empty = time_to_add(&registry, 20);
    let many: Vec<_> = (0..40_000).map(|_| Arc::new(Pool("pool", "one of many"))).collect();
    add_all(&registry, &many);
    let full = time_to_add(&registry, 20);
    assert!(full < 10 * empty, "a thousand took {empty:?} at first and {full:?} beside 40,000");
    assert_eq!(registry.snapshot().len(), 40_000);
    drop(many);
    // later additions sweep the rest out, without a snapshot or a search
    for _ in 0..2000 {
        registry.add(&Arc::new(Pool("pool", "short-lived")));
    }
    assert!(held(&registry) < 200, "{registry:?}");
    let again = time_to_add(&registry, 20);
    assert!(again < 10 * empty, "a thousand took {empty:?} at first and {again:?} after 40,000");
    assert!(registry.snapshot().is_empty());
    assert_eq!(held(&registry), 0);
}

#[test]
fn of_several_with_one_name_the_first_that_is_left_is_found() {
    let registry = Registry::new();
    let mut pools: Vec<_> = (0..200).map(|_| Arc::new(Pool("pool", "db"))).collect();
    add_all(&registry, &pools);
    // again, and it is as old as it was
    registry.add(&pools[199]);
    for left in (1..200).rev() {
        assert!(Arc::ptr_eq(&registry.find::<Pool>("db").unwrap(), &pools[0]), "{left} are left");
        pools.remove(0);
    }
}

#[test]
fn entries_of_one_name_are_listed_in_the_order_in_which_they_were_added() {
    struct Numbered(u64);
    impl Entry for Numbered {
        fn kind(&self) -> &'static str {
            "numbered"
        }
        fn name(&self) -> &'static str {
            "x"
        }
        fn state(&self) -> Vec<(&'static str, Value)> {
            vec![("number", self.0.into())]
        }
    }
    let registry = Registry::new();
    let all: Vec<_> = (0..500).map(|number| Arc::new(Numbered(number))).collect();
    add_all(&registry, &all);
    let listed: Vec<_> = registry.snapshot().into_iter().map(|entry| entry.state[0].1.clone()).collect();
    assert_eq!(listed, (0..500).map(Value::Count).collect::<Vec<_>>());
}

/// Its last owner may be the registry's own copy, for a moment: no lock is held when that one goes.
#[test]
fn an_entry_may_use_the_registry_while_it_is_dropped() {
    struct Parting(Registry, &'static str);
    impl Entry for Parting {
        fn kind(&self) -> &'static str {
            "parting"
        }
        fn name(&self) -> &str {
            self.1
        }
        fn state(&self) -> Vec<(&'static str, Value)> {
            Vec::new()
        }
    }
    impl Drop for Parting {
        fn drop(&mut self) {
            self.0.add(&Arc::new(Pool("pool", "left behind")));
            assert!(self.0.find::<Pool>("nowhere").is_none());
        }
    }
    let registry = Registry::new();
    let rounds = 500;
    std::thread::scope(|scope| {
        let maker = scope.spawn(|| {
            for _ in 0..rounds {
                let entry = Arc::new(Parting(registry.clone(), "x"));
                registry.add(&entry);
            }
        });
        while !maker.is_finished() {
            let _ = registry.find::<Parting>("y");
            registry.snapshot();
        }
    });
    assert!(registry.snapshot().is_empty());
}
