//! What those who wait for the circuit can hope for.

use super::{Machine, Mode, Phase};

/// Whom there is room for at one moment, and when time changes that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::circuit_breaker) struct Outlook {
    pub(in crate::circuit_breaker) room: Room,
    /// `None`: time does not; a call, an outcome or a person may.
    pub(in crate::circuit_breaker) until: Option<u64>,
    pub(in crate::circuit_breaker) now: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::circuit_breaker) enum Room {
    /// Whoever comes is let through, or is told no for another reason than that it is open.
    All,
    /// So many could be let through.
    Permits(u32),
}

impl Machine {
    /// Does what time has done, and looks.
    pub(in crate::circuit_breaker) fn room(&mut self, now: u64) -> Room {
        let now = self.advance(now);
        self.outlook(now).room
    }

    /// Reads only: whatever time has done by now is done, and told of, by the next call.
    pub(in crate::circuit_breaker) fn outlook(&self, now: u64) -> Outlook {
        let now = now.max(self.now);
        let event = self.next_event().map(|(at, _)| at);
        let (room, until) = match (self.mode, self.phase) {
            // nobody has looked since: one has to come
            _ if event.is_some_and(|at| at <= now) => (Room::Permits(1), None),
            (Mode::ForcedOpen, _) => (Room::Permits(0), event),
            (Mode::Auto, Phase::Open) if now < self.until => (Room::Permits(0), Some(self.until)),
            (Mode::Auto, Phase::Open) => (Room::Permits(self.config.half_open_permits.get()), None),
            (Mode::Auto, Phase::HalfOpen) => {
                let taken = self.probes.taken(self.in_flight.len());
                (Room::Permits(self.config.half_open_permits.get().saturating_sub(taken)), event)
            }
            _ => (Room::All, None),
        };
        Outlook { room, until, now }
    }
}
