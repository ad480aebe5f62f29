//! The status of a gRPC-Web response, which is in its body: the last frame holds the trailers, written as header lines.

use super::grpc_frames::{COMPRESSED, GrpcFrames, Part, TRAILERS, look_at};
use crate::classify::{PUSHBACK, Verdict, of_grpc_status};
use bytes::Buf;

/// Reads the body of a gRPC-Web response as it passes, and finds its status. It keeps one line of the trailers, cut to
/// [`Line::MAX`] bytes, and nothing of a message.
#[derive(Debug, Default)]
pub(crate) struct GrpcWeb {
    base64: Option<Base64>,
    trailers: Trailers,
}

#[derive(Debug, Default)]
struct Trailers {
    frames: GrpcFrames,
    line: Line,
    status: Option<Vec<u8>>,
    pushback: Option<Vec<u8>>,
    message: bool,
    complete: bool,
}

impl GrpcWeb {
    /// `base64`: the body is `application/grpc-web-text`.
    pub(crate) fn new(base64: bool) -> Self {
        Self { base64: base64.then(Base64::default), ..Self::default() }
    }

    /// Reads what passes.
    pub(crate) fn read(&mut self, data: &impl Buf) {
        let Self { base64, trailers } = self;
        let seen = look_at(data, |bytes| match base64 {
            Some(base64) => base64.decode(bytes, |decoded| trailers.read(decoded)),
            None => trailers.read(bytes),
        });
        // the place in the frames is lost
        trailers.complete |= !seen;
    }

    /// Whether a whole message has arrived.
    pub(crate) const fn has_message(&self) -> bool {
        self.trailers.message
    }

    /// Whether nothing that is still to come is read: the trailers are complete, or cannot be found.
    pub(crate) const fn is_complete(&self) -> bool {
        self.trailers.complete
    }

    /// What the trailers say, as far as they have arrived. `None`: there is no status in them.
    pub(crate) fn status(&self) -> Option<Verdict> {
        let Trailers { status, pushback, .. } = &self.trailers;
        status.as_ref().map(|status| of_grpc_status(status, || pushback.as_deref()))
    }
}

impl Trailers {
    fn read(&mut self, bytes: &[u8]) {
        if self.complete {
            return;
        }
        let Self { frames, line, status, pushback, message, complete } = self;
        frames.read(bytes, |Part { flags, payload, last }| {
            if *complete {
                return;
            }
            if flags & TRAILERS == 0 {
                *message |= last;
                return;
            }
            // compressed trailers cannot be read: such a response is judged by its head
            if flags & COMPRESSED == 0 {
                let mut ends = |line: &Line| {
                    if let Some(value) = line.value_of(b"grpc-status") {
                        *status = Some(value.to_vec());
                    } else if let Some(value) = line.value_of(PUSHBACK.as_bytes()) {
                        *pushback = Some(value.to_vec());
                    }
                };
                line.read(payload, &mut ends);
                if last {
                    ends(line);
                }
            }
            *complete = last;
        });
    }
}

/// One line of the trailers: its beginning, which is all that is needed of it.
#[derive(Debug)]
struct Line {
    bytes: [u8; Self::MAX],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; Self::MAX], len: 0 }
    }
}

impl Line {
    /// Longer than the two lines that are read can be.
    const MAX: usize = 64;

    fn read(&mut self, bytes: &[u8], ends: &mut impl FnMut(&Self)) {
        for byte in bytes {
            if *byte == b'\n' {
                ends(self);
                self.len = 0;
            } else if let Some(next) = self.bytes.get_mut(self.len) {
                *next = *byte;
                self.len += 1;
            }
        }
    }

    fn value_of(&self, name: &[u8]) -> Option<&[u8]> {
        let (start, rest) = self.bytes[..self.len].split_at_checked(name.len())?;
        let value = start.eq_ignore_ascii_case(name).then(|| rest.strip_prefix(b":")).flatten()?;
        Some(value.trim_ascii())
    }
}

/// Base64 (RFC 4648, 4) that may be padded in the middle: servers encode each part of a body by itself.
#[derive(Debug, Default)]
struct Base64 {
    bits: u32,
    digits: u8,
    padding: u8,
    /// It was no base64: what follows is not read.
    broken: bool,
}

impl Base64 {
    /// Decodes on, and hands out what is decoded in pieces.
    fn decode(&mut self, text: &[u8], mut decoded: impl FnMut(&[u8])) {
        let mut piece = [0; 96];
        let mut filled = 0;
        for byte in text {
            if self.broken || byte.is_ascii_whitespace() {
                continue;
            }
            match digit(*byte) {
                Some(digit) if self.padding == 0 => {
                    self.bits = self.bits << 6 | digit;
                    self.digits += 1;
                }
                None if *byte == b'=' && self.digits >= 2 => self.padding += 1,
                _ => {
                    self.broken = true;
                    continue;
                }
            }
            if self.digits + self.padding == 4 {
                let three = (self.bits << (6 * u32::from(self.padding))).to_be_bytes();
                let whole = usize::from(self.digits) - 1;
                piece[filled..filled + whole].copy_from_slice(&three[1..=whole]);
                filled += whole;
                *self = Self::default();
            }
            if filled > piece.len() - 3 {
                decoded(&piece[..filled]);
                filled = 0;
            }
        }
        decoded(&piece[..filled]);
    }
}

/// Of the standard alphabet, or of the one for URLs.
fn digit(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests;
