//! The plan of one run, drawn from its seed, so that the run can be repeated with fewer layers.

use crate::{
    dice::Dice,
    element::{Element, Opens, Repeats, millis},
    leaf::Leaf,
    link::Link,
    mutants::Mutant,
    script::{Script, Weather},
    world::World,
};
use std::{sync::Arc, time::Duration};

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// From the outermost to the innermost.
    pub(crate) elements: Vec<Element>,
    pub(crate) script: Script,
    pub(crate) callers: Vec<Caller>,
    /// All callers are polled by one task, and not each by its own.
    pub(crate) together: bool,
}

/// The calls that one caller makes with its own instance of the stack.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) calls: Vec<Call>,
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) pause: Duration,
    pub(crate) method: http::Method,
    pub(crate) keyed: bool,
    pub(crate) origin: usize,
    /// Chunks of its body; 0: it is in memory.
    pub(crate) chunks: usize,
    pub(crate) reads: Reads,
    /// The caller drops the call after this time.
    pub(crate) leaves_after: Option<Duration>,
    /// The caller goes on with the same instance.
    pub(crate) keeps: bool,
    pub(crate) wants: Wants,
    /// Its caller polls with changing wakers.
    pub(crate) fidgets: bool,
}

/// The overrides that a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    Nothing,
    NoRetry,
    /// At most one.
    One,
    /// A deadline of its own.
    Hurry,
}

impl Wants {
    /// Milliseconds, fewer than the deadline of any layer.
    pub(crate) const HURRY: u64 = 150;
}

/// How much of a response's body a caller reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    Whole,
    /// One frame.
    Some,
    Nothing,
    /// Nothing, after this many milliseconds.
    Late(u64),
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0);
        let whole = dice.chance(1, 2);
        let mut elements: Vec<Element> = Vec::new();
        let common = if dice.chance(1, 2) { common(&mut dice) } else { Vec::new() };
        let rest = dice.within(u64::from(common.is_empty())..=6 - common.len() as u64);
        let rest: Vec<_> = (0..rest).map(|_| Element::draw(&mut dice, whole)).collect();
        for element in mixed(&mut dice, common, rest) {
            if fits(&elements, element) {
                elements.push(element);
            }
        }
        let weathers =
            [Weather::Flawless, Weather::Fair, Weather::Rough, Weather::Rough, Weather::Storm, Weather::Outage];
        let weather = dice.pick(&weathers);
        let script = Script::new(seed, weather, &mut dice);
        let mut plan = Self { seed, elements, script, callers: Vec::new(), together: dice.chance(1, 2) };
        let leaves = weather != Weather::Flawless && dice.chance(2, 3);
        plan.callers =
            (0..dice.within(1..=6)).map(|_| caller(&mut dice, whole, leaves, weather == Weather::Flawless)).collect();
        plan
    }

    /// Inserts a layer that breaks a rule, and replaces the bodies by ones that it can clone.
    pub(crate) fn with_mutant(mut self, mutant: Mutant) -> Self {
        let mut dice = Dice::new(self.seed, 2);
        let at = dice.index(self.elements.len() + 1);
        self.elements.insert(at, Element::Mutant(mutant));
        for call in self.callers.iter_mut().flat_map(|caller| &mut caller.calls) {
            call.chunks = 0;
        }
        self
    }

    pub(crate) fn build(&self, world: &Arc<World>) -> Link {
        let mut service = Link::new(world, "leaf", Leaf::new(world, &Arc::new(self.servers())));
        for (at, element) in self.elements.iter().enumerate().rev() {
            let most = bound(&self.elements[at + 1..], bound(&self.elements[..at], false).1).0;
            service = element.layer(service, world, self.seed ^ at as u64, most);
        }
        service
    }

    /// Returns the script of the servers, without the steps that this stack cannot handle.
    pub(crate) fn servers(&self) -> Script {
        let mut script = self.script.clone();
        script.captures |= !self.sees_hops();
        // either would end the worker of a buffer
        script.panics &= !self.has_buffer();
        // tower's engine returns an error of readiness without asking its policy
        script.ready_errors &= !self.has_buffer() && !self.has(|element| matches!(element, Element::TowerRetry(_)));
        script
    }

    /// Returns how often one request of a caller may reach the server; with a handler: 0, since it makes requests of its own.
    pub(crate) fn most(&self) -> u64 {
        if self.has(|element| matches!(element, Element::Handler(_))) { 0 } else { bound(&self.elements, false).0 }
    }

    pub(crate) fn has(&self, which: impl Fn(&Element) -> bool) -> bool {
        self.elements.iter().any(which)
    }

    pub(crate) fn has_buffer(&self) -> bool {
        self.has(|element| matches!(element, Element::Buffer(_) | Element::Rate(_)))
    }

    /// Returns whether an element that `above` accepts stands anywhere above one that `below` accepts.
    pub(crate) fn over(&self, above: impl Fn(&Element) -> bool, below: impl Fn(&Element) -> bool) -> bool {
        let first = self.elements.iter().position(above);
        first.is_some_and(|first| self.elements[first + 1..].iter().any(below))
    }

    /// Returns how long a call takes at most: the shortest limit that begins with the call itself.
    pub(crate) fn deadline(&self, wants: Wants) -> Option<Duration> {
        let mut shortest: Option<u64> = None;
        for element in &self.elements {
            let limit = match *element {
                Element::Total(ms) | Element::TotalAnswers(ms) | Element::Attempt(ms) | Element::TowerTimeout(ms) => {
                    Some(ms)
                }
                Element::Stack { total, .. } => Some(total),
                Element::Mutant(Mutant::IgnoresDeadline) => Some(Mutant::DEADLINE),
                Element::Breaker { .. }
                | Element::Answers
                | Element::Keys
                | Element::Marker
                | Element::Limit(_)
                | Element::LoadShed => None,
                _ => break,
            };
            let own = matches!(element, Element::Total(_) | Element::Stack { .. });
            let limit = if own && wants == Wants::Hurry { Some(Wants::HURRY) } else { limit };
            shortest = limit.into_iter().chain(shortest).min();
            if matches!(element, Element::Stack { .. }) {
                break;
            }
        }
        shortest.map(millis)
    }

    /// Returns whether a circuit of ours stands below each redirect, in the task of the retry layer above: it knows that a hop was
    /// executed, whatever the client below reports. Without it, and over a client that reports no connections, nothing of ours
    /// can know that.
    fn sees_hops(&self) -> bool {
        let redirect = self.elements.iter().position(|element| *element == Element::Redirect);
        let circuit =
            |element: &Element| matches!(element, Element::Breaker { .. } | Element::Answers | Element::Stack { .. });
        redirect.is_none_or(|at| !self.has_buffer() && self.elements[at + 1..].iter().any(circuit))
    }

    /// Returns whether redirects are followed above all layers that can know that a hop was executed. An adapter of tower's retry,
    /// and a retry layer that clones requests, cannot watch the connection.
    pub(crate) fn redirects_outermost(&self) -> bool {
        let first = self.elements.iter().find(|element| match element {
            Element::Retry { repeats, .. } => *repeats != Repeats::Cloned,
            Element::Stack { .. } | Element::Redirect => true,
            _ => false,
        });
        first == Some(&Element::Redirect)
    }

    /// Returns whether a healthy server may be cut off by a timeout of this stack, or a call be refused for lack of a place.
    pub(crate) fn is_tight(&self) -> bool {
        self.has(|element| match *element {
            Element::Total(ms) | Element::TotalAnswers(ms) | Element::Attempt(ms) | Element::TowerTimeout(ms) => {
                ms < 1_000
            }
            Element::Stack { total, .. } => total < 3_000,
            Element::LoadShed | Element::Rate(_) => true,
            _ => false,
        })
    }

    /// Returns whether places stay taken for tower's sake. Its buffer and load-shed leave an instance in the queue of a limit when the call that asked for it is gone: the
    /// place that it is given later is then held until the next call. No layer of ours can see to that.
    pub(crate) fn leaves_places_behind(&self) -> bool {
        let waits = |element: &Element| matches!(element, Element::Buffer(_) | Element::Rate(_) | Element::LoadShed);
        let limits = |element: &Element| matches!(element, Element::Limit(_) | Element::Buffer(_) | Element::Rate(_));
        self.over(waits, limits) || self.keeps_places()
    }

    /// Returns whether an instance keeps its place after a refusal, below a circuit breaker without `releasing`.
    pub(crate) fn keeps_places(&self) -> bool {
        self.has(|element| matches!(element, Element::Breaker { releases: false, .. }))
    }
}

/// Returns layers that people often combine, in their order.
fn common(dice: &mut Dice) -> Vec<Element> {
    use Element as E;
    let retry = E::Retry { retries: 2, budget: Some(10), repeats: Repeats::Standard };
    let breaker = E::Breaker { origins: true, pends: false, config: Opens::Fast, releases: true };
    let stack = E::Stack { total: 10_000, keys: dice.chance(1, 2), calm: false };
    match dice.within(0..=7) {
        0 => vec![retry, E::Redirect, breaker],
        1 => vec![retry, E::Redirect, stack],
        2 => vec![stack, E::Redirect],
        3 => vec![E::Buffer(4), stack],
        4 => vec![retry, E::Buffer(4), stack],
        5 => vec![retry, E::Hedge { after: 10, budget: 10 }, breaker],
        6 => vec![E::Total(3_000), retry, breaker, E::Limit(2), E::Attempt(250)],
        _ => vec![stack, E::Limit(1)],
    }
}

/// Merges both lists at random; each keeps its order.
fn mixed(dice: &mut Dice, one: Vec<Element>, other: Vec<Element>) -> Vec<Element> {
    let mut all = other;
    let mut at = 0;
    for element in one {
        at += dice.index(all.len() - at + 1);
        all.insert(at, element);
        at += 1;
    }
    all
}

/// Returns whether `element` can be the next one below `above`.
fn fits(above: &[Element], element: Element) -> bool {
    let has = |which: fn(&Element) -> bool| above.iter().any(which);
    match element {
        // a handler multiplies the calls of a run, and a rate makes each of them slow
        Element::Handler(_) | Element::Rate(_) => !has(|e| matches!(e, Element::Handler(_) | Element::Rate(_))),
        Element::Redirect => !has(|e| matches!(e, Element::Redirect)),
        Element::Hedge { .. } => above.iter().filter(|e| matches!(e, Element::Hedge { .. })).count() < 2,
        _ => true,
    }
}

/// Returns how often the server below `elements` is called for one request, and whether a retry layer above is in sight there.
/// Stops at a handler.
pub(crate) fn bound(elements: &[Element], nested: bool) -> (u64, bool) {
    let (mut most, mut nested) = (1, nested);
    for element in elements {
        match *element {
            Element::Retry { retries, .. } | Element::Policy(retries) if !nested => {
                most *= u64::from(retries) + 1;
                nested = true;
            }
            Element::Stack { .. } if !nested => {
                most *= 3;
                nested = true;
            }
            // below it, tower's engine is not in sight
            Element::TowerRetry(retries) if !nested => most *= u64::from(retries) + 1,
            Element::Hedge { .. } | Element::Redirect => most *= 2,
            Element::Buffer(_) | Element::Rate(_) => nested = false,
            _ => {}
        }
    }
    (most, nested)
}

fn caller(dice: &mut Dice, whole: bool, leaves: bool, flawless: bool) -> Caller {
    let keeps = dice.chance(1, 2);
    let calls = (0..dice.within(1..=8)).map(|_| {
        let (method, keyed) = match dice.within(0..=6) {
            0 | 1 => (http::Method::GET, false),
            2 => (http::Method::PUT, false),
            3 | 4 => (http::Method::POST, true),
            _ => (http::Method::POST, false),
        };
        Call {
            pause: if dice.chance(1, 2) { Duration::ZERO } else { dice.millis(1..=1500) },
            method,
            keyed,
            origin: dice.index(3),
            chunks: if whole { 0 } else { dice.pick(&[0, 1, 3]) },
            reads: dice.pick(&[Reads::Whole, Reads::Whole, Reads::Some, Reads::Nothing, Reads::Late(40)]),
            leaves_after: (leaves && dice.chance(1, 4)).then(|| dice.millis(0..=400)),
            keeps,
            wants: if flawless || dice.chance(1, 2) {
                Wants::Nothing
            } else {
                dice.pick(&[Wants::NoRetry, Wants::One, Wants::Hurry])
            },
            fidgets: dice.chance(1, 4),
        }
    });
    Caller { calls: calls.collect() }
}
