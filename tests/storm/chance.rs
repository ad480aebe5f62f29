//! The draws that a simulation of clients and networks needs.

use std::{f64::consts::TAU, time::Duration};

pub struct Chance(fastrand::Rng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Between zero and `most`, all alike.
    pub fn below(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.0.f64())
    }

    /// The time to the next event of a Poisson process with so many events a second.
    pub fn gap(&mut self, per_second: f64) -> Duration {
        Duration::from_secs_f64(-(1.0 - self.0.f64()).ln() / per_second)
    }

    /// One way through the network: about 10 ms, with a standard deviation of 2 ms (Box and Muller's method).
    pub fn network(&mut self) -> Duration {
        let (radius, angle) = ((-2.0 * (1.0 - self.0.f64()).ln()).sqrt(), TAU * self.0.f64());
        Duration::from_secs_f64((0.010 + 0.002 * radius * angle.cos()).max(0.0))
    }

    /// Whether something happens that does so in a share of `share` of all cases.
    pub fn happens(&mut self, share: f64) -> bool {
        self.0.f64() < share
    }
}
