use crate::body::{FromReplay, ReplayBody, ReplayError};
use http_body_util::BodyExt;
use tonic::body::Body;

impl FromReplay for Body {
    fn from_replay(body: ReplayBody<Self>) -> Self {
        Self::new(body.map_err(ReplayError::into_box))
    }
}
