//! How long a body may take.

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use std::{convert::Infallible, num::NonZeroU32, time::Duration};
use steadfast::body::{Collected, ReadTimeouts, Unread, read, read_within};
use tokio::time::{Instant, sleep};
use tokio_stream::StreamExt;

const SECOND: Duration = Duration::from_secs(1);

/// A frame of so many bytes after each pause, so many times.
fn drip(times: u32, pause: Duration, bytes: usize) -> impl http_body::Body<Data = Bytes, Error = Infallible> {
    let frames = tokio_stream::iter(0..times).then(move |_| async move {
        sleep(pause).await;
        Ok(Frame::data(Bytes::from(vec![b'x'; bytes])))
    });
    StreamBody::new(frames)
}

#[test]
fn the_total_time_grows_with_what_arrived() {
    let timeouts = ReadTimeouts::default();
    let total = |bytes| timeouts.total_for(bytes);
    assert_eq!([total(0), total(64 << 10), total(25 << 20)], [30 * SECOND, 31 * SECOND, 430 * SECOND]);
    assert_eq!(total(32 << 10), Duration::from_millis(30_500));
    assert_eq!(
        timeouts.with_rate(NonZeroU32::MIN).total_for(u64::MAX),
        Duration::from_secs(u64::MAX).saturating_add(30 * SECOND)
    );
    assert_eq!(ReadTimeouts::UNLIMITED.total_for(1), Duration::MAX);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_arrives_at_the_rate_is_read_whole_however_long_it_takes() {
    let began = Instant::now();
    let whole: Collected = read(drip(400, SECOND, 64 << 10), 25 << 20).await.unwrap();
    assert_eq!((whole.data.len(), began.elapsed()), (25 << 20, 400 * SECOND));
    // at half of the rate it is too slow in all: 30 s, and half of the time that it takes
    let began = Instant::now();
    let slow = read(drip(400, SECOND, 32 << 10), 25 << 20).await;
    assert!(matches!(slow, Err(Unread::TooSlow)));
    assert!((59..=61).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn frames_without_data_are_no_progress() {
    let began = Instant::now();
    let read = read(drip(100, SECOND, 0), 1000).await;
    assert!(matches!(read, Err(Unread::TooSlow)));
    assert_eq!(began.elapsed(), 10 * SECOND);
}

/// Such a body never waits, so that no other task would have its turn, the clock included.
#[tokio::test(start_paused = true)]
async fn frames_without_data_that_never_end_are_too_slow_and_leave_room_for_others() {
    let trailers = || Ok::<_, Infallible>(Frame::trailers(http::HeaderMap::new()));
    let empty = || Ok(Frame::data(Bytes::new()));
    for frame in [empty as fn() -> _, trailers] {
        let began = Instant::now();
        let body = StreamBody::new(tokio_stream::iter(std::iter::repeat_with(frame)));
        let others = async {
            tokio::task::yield_now().await;
            tokio::time::advance(11 * SECOND).await;
        };
        let (read, ()) = tokio::join!(read(body, 1000), others);
        assert!(matches!(read, Err(Unread::TooSlow)));
        assert_eq!(began.elapsed(), 11 * SECOND);
    }
}

/// As after a pause of the process: the limit is over and the data is there, and the task that brings it had no turn yet.
#[tokio::test(start_paused = true)]
async fn data_that_is_there_when_the_limit_is_found_exceeded_counts() {
    let (send, frames) = tokio::sync::mpsc::unbounded_channel();
    let body = StreamBody::new(tokio_stream::wrappers::UnboundedReceiverStream::new(frames));
    let reading = tokio::spawn(async move { read(body, 1000).await });
    tokio::task::yield_now().await;
    tokio::spawn(async move {
        sleep(10 * SECOND).await;
        send.send(Ok::<_, Infallible>(Frame::data(Bytes::from("late")))).unwrap();
    });
    tokio::task::yield_now().await;
    tokio::time::advance(60 * SECOND).await;
    assert_eq!(reading.await.unwrap().unwrap().data, "late");
}

#[tokio::test(start_paused = true)]
async fn without_limits_a_body_takes_as_long_as_it_takes() {
    let whole = read_within(drip(3, 3600 * SECOND, 1), 1000, ReadTimeouts::UNLIMITED).await.unwrap();
    assert_eq!(whole.data, "xxx");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_and_then_stops_is_too_large() {
    let began = Instant::now();
    let body = StreamBody::new(
        tokio_stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; 20])))])
            .chain(tokio_stream::pending()),
    );
    assert!(matches!(read(body, 10).await, Err(Unread::TooLarge)));
    assert_eq!(began.elapsed(), 10 * SECOND);
}

#[test]
fn limits_are_checked_when_they_are_made_and_read_from_files() {
    assert!(ReadTimeouts::new(Duration::ZERO, SECOND).is_err());
    assert!(ReadTimeouts::new(SECOND, Duration::from_micros(999)).is_err());
    let read = |text: &str| serde_json::from_str::<ReadTimeouts>(text);
    assert_eq!(read("{}").unwrap(), ReadTimeouts::default());
    let some = read(r#"{"idle":"2s","bytes_per_second":1000}"#).unwrap();
    assert_eq!((some.idle(), some.total_for(1000)), (2 * SECOND, 31 * SECOND));
    assert_eq!(read(&serde_json::to_string(&some).unwrap()).unwrap(), some);
    let off = ReadTimeouts::UNLIMITED;
    assert_eq!(read(&serde_json::to_string(&off).unwrap()).unwrap(), off);
    for wrong in [r#"{"idle":"0s"}"#, r#"{"bytes_per_second":0}"#, r#"{"iddle":"1s"}"#] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
