//! The frames of gRPC and of gRPC-Web, found in bytes that arrive in pieces of any size. No payload is kept.

use bytes::Buf;
use std::io::IoSlice;

/// A flag, and the length of the payload in four bytes.
const PREFIX: u8 = 5;
/// gRPC-Web: the payload is the trailers.
pub(super) const TRAILERS: u8 = 0x80;
/// The payload is compressed.
pub(super) const COMPRESSED: u8 = 0x01;

/// The place in a sequence of frames.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GrpcFrames {
    prefix: [u8; PREFIX as usize],
    /// Bytes of the prefix that have arrived.
    filled: u8,
    /// Bytes of the payload that are still to come.
    left: u32,
}

/// A part of a frame's payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) flags: u8,
    pub(super) payload: &'a [u8],
    /// Whether the frame ends with it.
    pub(super) last: bool,
}

impl GrpcFrames {
    /// Reads on, and reports each part of a payload.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut report: impl FnMut(Part<'_>)) {
        while !bytes.is_empty() {
            if self.filled < PREFIX {
                let (next, rest) = bytes.split_at(bytes.len().min((PREFIX - self.filled).into()));
                for byte in next {
                    self.prefix[usize::from(self.filled)] = *byte;
                    self.filled += 1;
                }
                bytes = rest;
                let [_, length @ ..] = self.prefix;
                self.left = u32::from_be_bytes(length);
                if self.filled < PREFIX || self.left > 0 {
                    continue;
                }
            }
            let (payload, rest) = bytes.split_at(bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX)));
            bytes = rest;
            self.left -= u32::try_from(payload.len()).unwrap_or(self.left);
            let last = self.left == 0;
            if last {
                self.filled = 0;
            }
            report(Part { flags: self.prefix[0], payload, last });
        }
    }
}

/// Reads data without consuming it. `false`: it lies in more pieces than can be seen that way.
pub(super) fn look_at(data: &impl Buf, mut read: impl FnMut(&[u8])) -> bool {
    let first = data.chunk();
    if first.len() == data.remaining() {
        read(first);
        return true;
    }
    let mut pieces = [IoSlice::new(&[]); 16];
    let seen = data.chunks_vectored(&mut pieces);
    let pieces = &pieces[..seen];
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() < data.remaining() {
        return false;
    }
    for piece in pieces {
        read(piece);
    }
    true
}
