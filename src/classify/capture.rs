use super::{Evidence, Repeatable};

/// Whether the client below had a connection for a request; so that an error of it can be judged with [`Evidence`].
#[derive(Debug, Clone, Default)]
pub struct ConnectionCapture {
    kind: Kind,
}

#[derive(Debug, Clone, Default)]
enum Kind {
    #[default]
    Unknown,
    OnlyHop,
    #[cfg(feature = "hyper")]
    Captured(crate::foreign::Capture),
}

impl ConnectionCapture {
    /// Nothing will be known.
    pub const fn unknown() -> Self {
        Self { kind: Kind::Unknown }
    }

    /// No layer below follows redirects for this request: a connect error is about the only server that it can reach.
    pub const fn only_hop() -> Self {
        Self { kind: Kind::OnlyHop }
    }

    /// Has hyper-util's client report the connections of this request, through a value in its extensions (feature `hyper`;
    /// else nothing will be known). Layers further in that capture too share it. Nothing will be known where the owner of the request
    /// has called `capture_connection` itself: the client reports to one capture only, and that one is left in place.
    pub fn of<B>(request: &mut http::Request<B>) -> Self {
        #[cfg(feature = "hyper")]
        let kind = crate::foreign::Capture::of(request).map_or(Kind::Unknown, Kind::Captured);
        #[cfg(not(feature = "hyper"))]
        let kind = {
            let _ = request;
            Kind::Unknown
        };
        Self { kind }
    }

    /// Returns how many values share the capture, that in the request included; 0 without a capture.
    #[cfg(feature = "retry")]
    #[inline]
    pub(crate) fn holders(&self) -> usize {
        match &self.kind {
            Kind::Unknown | Kind::OnlyHop => 0,
            #[cfg(feature = "hyper")]
            Kind::Captured(capture) => capture.holders(),
        }
    }

    /// Returns the evidence of the attempt that failed.
    #[cfg_attr(not(feature = "retry"), expect(dead_code, reason = "retry reads it"))]
    pub(crate) fn evidence(&self, repeatable: Repeatable) -> Evidence {
        let evidence = Evidence::of(repeatable);
        match &self.kind {
            Kind::Unknown => evidence,
            Kind::OnlyHop => evidence.without_redirects(),
            #[cfg(feature = "hyper")]
            Kind::Captured(capture) => evidence.with_connected(Some(capture.is_connected())),
        }
    }
}
