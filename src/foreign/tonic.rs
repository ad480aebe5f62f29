use super::Kind;
use crate::error::known;
use std::{any::Any, error::Error};

pub(crate) use tonic::Status;

pub(super) fn as_error(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    known::<Status>(any).or_else(|| known::<tonic::ConnectError>(any)).or_else(|| known::<tonic::transport::Error>(any))
}

pub(super) fn judge(error: &(dyn Error + 'static)) -> Option<Kind> {
    if error.is::<tonic::ConnectError>() {
        return Some(Kind::NotConnected);
    }
    error.downcast_ref::<Status>().map(|status| Kind::Grpc(status.code() as i32))
}

pub(crate) fn status(code: i32, message: String) -> Status {
    Status::new(tonic::Code::from(code), message)
}
