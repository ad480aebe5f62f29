//! Each rule catches a layer that breaks it on purpose, within a few seeds, on seeds that break no rule without that layer.

use crate::{mutants::Mutant, plan::Plan, run::run, siblings::Family};

/// A layer is found within this many seeds.
const SEEDS: u64 = 300;

/// Checks that `mutant` breaks `rule`.
fn finds(mutant: Mutant, rule: &str) {
    let found = (0..SEEDS).find(|seed| {
        let plan = Plan::new(*seed);
        run(&plan.clone().with_mutant(mutant)).broke(rule) && run(&plan).breaches.is_empty()
    });
    let seed = found.unwrap_or_else(|| panic!("{mutant:?} broke no rule `{rule}` in {SEEDS} seeds"));
    eprintln!("found by seed {seed}");
}

#[test]
fn a_layer_that_repeats_a_post_is_found() {
    finds(Mutant::RepeatsPosts, "once");
}

#[test]
fn a_layer_that_changes_the_key_is_found() {
    finds(Mutant::ChangesKeys, "once");
}

#[test]
fn a_layer_that_calls_a_clone_is_found() {
    finds(Mutant::CallsClone, "readiness");
}

#[test]
fn a_layer_that_reserves_an_instance_while_it_waits_is_found() {
    finds(Mutant::HoldsWhileItWaits, "held");
}

#[test]
fn a_layer_that_loses_the_place_of_a_dropped_call_is_found() {
    finds(Mutant::LosesPlaces, "held");
}

#[test]
fn a_layer_that_ignores_its_deadline_is_found() {
    finds(Mutant::IgnoresDeadline, "deadline");
}

#[test]
fn a_layer_that_claims_that_nothing_was_sent_is_found() {
    finds(Mutant::SaysRefused, "claim");
}

#[test]
fn a_layer_that_leaves_a_task_behind_is_found() {
    finds(Mutant::LeavesTask, "tasks");
}

#[test]
fn a_layer_that_takes_siblings_for_nested_calls_is_found() {
    let found = (0..SEEDS).find(|seed| {
        let family = Family::new(*seed);
        family.clone().with_mutant(Mutant::NestsSiblings).run().broke("siblings") && family.run().breaches.is_empty()
    });
    eprintln!("found by seed {}", found.expect("the mutant broke no rule"));
}
