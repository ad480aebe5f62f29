//! The behaviour of the servers of a run: a function of the seed, the request, the attempt and the time.

use crate::dice::Dice;
use std::time::Duration;

/// The hosts that are called.
pub(crate) const ORIGINS: [&str; 3] = ["a.test", "b.test", "c.test"];

/// How often the servers of a run fail until they are healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    Flawless,
    Fair,
    Rough,
    Storm,
    /// One host is away for a while; the others are healthy.
    Outage,
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) weather: Weather,
    /// Some calls and bodies never end.
    pub(crate) hangs: bool,
    pub(crate) panics: bool,
    pub(crate) redirects: bool,
    /// An instance is not ready at once, now and then.
    pub(crate) slow_readiness: bool,
    /// An instance fails to become ready, now and then.
    pub(crate) ready_errors: bool,
    /// The client below is hyper-util's, which reports its connections.
    pub(crate) captures: bool,
}

/// The behaviour of one call.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) delay: Duration,
    pub(crate) does: Does,
    pub(crate) body: Content,
    pub(crate) captures: bool,
}

impl Step {
    /// A call to a healthy server.
    pub(crate) const fn well() -> Self {
        Self { delay: Duration::from_millis(1), does: Does::Status(200, None), body: Content::Whole, captures: true }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// A status, with the seconds of its `Retry-After`.
    Status(u16, Option<u64>),
    /// 303 to this host.
    Redirect(usize),
    /// The connection was refused: a client's real error, or only the kind of one.
    Refused {
        real: bool,
    },
    /// Answered before the request is read.
    Early(u16),
    /// Executed, and the connection was reset.
    Reset,
    /// Executed, and never answered.
    Hang,
    Panic,
}

/// How the body of a response comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Empty,
    Whole,
    /// In this many frames, with a pause before each.
    Trickle(u32),
    /// It breaks off after this many frames.
    Breaks(u32),
    Hangs(u32),
}

impl Script {
    pub(crate) fn new(seed: u64, weather: Weather, dice: &mut Dice) -> Self {
        let flawless = weather == Weather::Flawless;
        Self {
            seed,
            weather,
            hangs: !flawless && dice.chance(1, 2),
            panics: !flawless && dice.chance(1, 6),
            redirects: dice.chance(1, 2),
            slow_readiness: dice.chance(1, 4),
            ready_errors: !flawless && dice.chance(1, 6),
            captures: dice.chance(1, 2),
        }
    }

    /// Returns the step of the server at `host` for attempt `nth` of request `id`, `at` this time of the run. `target`: the
    /// request was redirected to this server, and is not redirected again.
    pub(crate) fn step(&self, host: &str, id: u64, nth: u64, at: Duration, target: bool) -> Step {
        let origin = ORIGINS.iter().position(|origin| *origin == host).unwrap_or(0);
        let mut dice = Dice::new(self.seed, 1 + id * 1_000_003 + nth * 7_919 + origin as u64 * 104_729);
        let delay = if dice.chance(1, 4) { Duration::ZERO } else { dice.millis(1..=20) };
        let failing = match self.weather {
            Weather::Fair => 10,
            Weather::Rough => 40,
            Weather::Storm => 85,
            Weather::Outage if origin == 0 && at < Duration::from_secs(8) => 100,
            Weather::Flawless | Weather::Outage => 0,
        };
        if dice.chance(failing, 100) {
            let (delay, does) = self.failure(delay, &mut dice);
            return Step { delay, does, body: Content::Whole, captures: self.captures };
        }
        let does = match dice.within(0..=19) {
            0..=5 if self.redirects && !target => Does::Redirect(dice.index(ORIGINS.len())),
            6 => Does::Status(201, None),
            7 if self.weather != Weather::Flawless => Does::Status(404, None),
            _ => Does::Status(200, None),
        };
        Step { delay, does, body: self.content(&mut dice), captures: self.captures }
    }

    fn failure(&self, delay: Duration, dice: &mut Dice) -> (Duration, Does) {
        let hint = |dice: &mut Dice| dice.chance(1, 2).then(|| dice.within(1..=3));
        match dice.within(0..=19) {
            0..=4 => (delay, Does::Status(503, None)),
            5 | 6 => (delay, Does::Status(503, Some(dice.within(1..=3)))),
            7 => (delay, Does::Status(429, hint(dice))),
            8 => (delay, Does::Status(409, hint(dice))),
            9 => (delay, Does::Status(500, None)),
            10 => (delay, Does::Early(dice.pick(&[503, 413, 401]))),
            11..=13 => (delay, Does::Refused { real: dice.chance(1, 2) }),
            14..=16 => (delay, Does::Reset),
            17 if self.hangs => (delay, Does::Hang),
            18 if self.panics => (delay, Does::Panic),
            17 | 18 => (delay, Does::Status(502, None)),
            // slow, and longer than most attempt timeouts
            _ => (delay + dice.millis(200..=3000), Does::Status(200, None)),
        }
    }

    fn content(&self, dice: &mut Dice) -> Content {
        let flawless = self.weather == Weather::Flawless;
        match dice.within(0..=9) {
            0 | 1 => Content::Empty,
            2 => Content::Trickle(3),
            3 if !flawless => Content::Breaks(2),
            4 if self.hangs => Content::Hangs(1),
            _ => Content::Whole,
        }
    }
}
