//! Calls beside each other have the attempts that each of them has alone, and calls below a retry layer have one.

use crate::{
    dice::Dice,
    element::{Element, Repeats},
    handler::{Handler, Shape},
    leaf::Leaf,
    link::{Asked, Link},
    mutants::Mutant,
    payload::Payload,
    plan::bound,
    run::{Report, in_paused_time},
    script::{ORIGINS, Script, Weather},
    world::{IDENTITY, World},
};
use http::{Method, Request};
use std::sync::{Arc, atomic::Ordering::SeqCst};
use tower::ServiceExt;

/// A handler below `outer`, whose calls go through one or two stacks.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    pub(crate) seed: u64,
    outer: Vec<Element>,
    inner: Vec<Vec<Element>>,
    shape: Shape,
    /// The stack that each call goes through.
    calls: Vec<usize>,
    script: Script,
    method: Method,
    keyed: bool,
}

/// The identity of a handler's call.
fn identity(call: usize) -> u64 {
    100 + call as u64
}

/// Too long to matter.
const LONG: u64 = 900_000;

impl Family {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 3);
        let mut outer = vec![Element::Total(LONG)];
        for _ in 0..dice.within(0..=2) {
            outer.push(dice.pick(&[
                Element::Marker,
                Element::Keys,
                Element::Hedge { after: LONG, budget: 100 },
                Element::Attempt(LONG),
                Element::Total(LONG),
                Element::Retry { retries: 2, budget: None, repeats: Repeats::Standard },
            ]));
        }
        let stacks = 1 + dice.index(2);
        let inner =
            (0..stacks).map(|_| timeless((0..dice.within(1..=4)).map(|_| inner(&mut dice)).collect())).collect();
        let weather = dice.pick(&[Weather::Rough, Weather::Storm]);
        let mut script = Script::new(seed, weather, &mut dice);
        (script.hangs, script.panics) = (false, false);
        (script.slow_readiness, script.ready_errors, script.captures) = (false, false, true);
        let (method, keyed) = dice.pick(&[(0, false), (1, false), (2, true), (2, false)]);
        Self {
            seed,
            outer,
            inner,
            shape: Shape::draw(&mut dice),
            calls: (0..dice.within(2..=4)).map(|_| dice.index(stacks)).collect(),
            script,
            method: [Method::GET, Method::PUT, Method::POST][method].clone(),
            keyed,
        }
    }

    /// Inserts a layer that breaks a rule, outermost below the handler.
    pub(crate) fn with_mutant(mut self, mutant: Mutant) -> Self {
        for stack in &mut self.inner {
            stack.insert(0, Element::Mutant(mutant));
        }
        self
    }

    /// Runs the calls of these indices in one call of the handler.
    async fn attempts(&self, world: &Arc<World>, which: &[usize]) -> Vec<u64> {
        let inner = self.inner.iter().map(|elements| self.stack(world, elements)).collect();
        let parts = which.iter().map(|call| (self.calls[*call], identity(*call))).collect();
        let mut service = Link::new(world, "handler", Handler::with_parts(inner, world, self.shape, parts));
        for (at, element) in self.outer.iter().enumerate().rev() {
            service = element.layer(service, world, 1000 + at as u64, 0);
        }
        let before: Vec<u64> = which.iter().map(|call| world.request(identity(*call)).attempts).collect();
        world.hedges.store(true, SeqCst);
        _ = service.oneshot(self.request()).await;
        which.iter().zip(before).map(|(call, before)| world.request(identity(*call)).attempts - before).collect()
    }

    fn stack(&self, world: &Arc<World>, elements: &[Element]) -> Link {
        let mut service = Link::new(world, "leaf", Leaf::new(world, &Arc::new(self.script.clone())));
        for (at, element) in elements.iter().enumerate().rev() {
            service = element.layer(service, world, self.seed ^ at as u64, 0);
        }
        service
    }

    fn request(&self) -> Asked {
        let mut request = Request::new(Payload::whole("to the handler"));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = format!("http://{}/", ORIGINS[0]).parse().expect("a URI");
        request.headers_mut().insert(IDENTITY, 1.into());
        if self.keyed {
            request.headers_mut().insert("idempotency-key", "family".parse().expect("a header"));
        }
        request
    }

    pub(crate) fn run(&self) -> Report {
        let mut alone = Vec::new();
        let mut report = Report { breaches: Vec::new(), trace: Vec::new() };
        for call in 0..self.calls.len() {
            let family = self.clone();
            let (attempts, one) = count(&family, vec![call]);
            alone.extend(attempts);
            report.breaches.extend(one.breaches);
        }
        let (together, all) = count(self, (0..self.calls.len()).collect());
        report.breaches.extend(all.breaches);
        report.trace = all.trace;
        let nested = self.outer.iter().any(|element| matches!(element, Element::Retry { .. }));
        if nested {
            // each time that the handler runs, a call reaches the server once, but for hedges and redirects
            for (call, attempts) in together.iter().enumerate() {
                let most = 3 * bound(&self.inner[self.calls[call]], true).0;
                if *attempts > most {
                    report.broken(
                        "attempts",
                        format!("call {call} below a retry layer had {attempts} attempts, not {most}"),
                    );
                }
            }
        } else if alone != together {
            report.broken("siblings", format!("calls had {together:?} attempts together, and {alone:?} alone"));
        }
        report
    }
}

/// Returns the attempts of these calls, in a world of their own.
fn count(family: &Family, which: Vec<usize>) -> (Vec<u64>, Report) {
    let counted = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (to, one) = (counted.clone(), family.clone());
    let report = in_paused_time(family.seed, |world| async move {
        let attempts = one.attempts(&world, &which).await;
        *to.lock().unwrap() = attempts;
    });
    let attempts = counted.lock().unwrap().clone();
    (attempts, report)
}

/// Replaces limits of time above a retry by ones that are too long to matter: they would end some calls and not others, by the
/// chance of their waits.
fn timeless(mut elements: Vec<Element>) -> Vec<Element> {
    use Element as E;
    let mut repeats = false;
    for element in elements.iter_mut().rev() {
        match element {
            E::Retry { .. } | E::Stack { .. } | E::Policy(_) | E::TowerRetry(_) => repeats = true,
            E::Attempt(ms) | E::TowerTimeout(ms) | E::Hedge { after: ms, .. } if repeats => *ms = LONG,
            _ => {}
        }
    }
    elements
}

fn inner(dice: &mut Dice) -> Element {
    let repeats = dice.pick(&[Repeats::Standard, Repeats::Cloned, Repeats::ReadsAhead]);
    let retry = Element::Retry { retries: dice.pick(&[2, 4]), budget: None, repeats };
    let stack = Element::Stack { total: LONG, keys: dice.chance(1, 2), calm: true };
    let hedge = Element::Hedge { after: dice.pick(&[10, 200]), budget: 100 };
    let rest = [Element::Marker, Element::Keys, Element::Attempt(250), Element::Total(LONG), Element::Redirect];
    let tower = [Element::TowerRetry(2), Element::Policy(2), Element::TowerTimeout(1_000)];
    match dice.within(0..=9) {
        0..=2 => retry,
        3 => stack,
        4 | 5 => hedge,
        6 => dice.pick(&tower),
        _ => dice.pick(&rest),
    }
}
