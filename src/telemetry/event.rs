/// `event!(WARN, "what happened", field = value, ..)`: a tracing event, or nothing without the feature.
///
/// A subscriber runs on the thread of the call that it records, often in a drop: its panic ends here. The level is compared
/// first, so that an event that nobody wants costs as much as it did.
#[allow(unused_macros, reason = "only the patterns have events")]
macro_rules! event {
    ($level:ident, $message:literal $(, $($field:ident).+ = $value:expr)* $(,)?) => {{
        #[cfg(feature = "tracing")]
        if tracing::Level::$level <= tracing::level_filters::LevelFilter::current() {
            $crate::panic::unharmed(|| {
                tracing::event!(target: "steadfast", tracing::Level::$level, $($($field).+ = $value,)* $message);
            });
        }
        #[cfg(not(feature = "tracing"))]
        if false { $(let _ = &$value;)* }
    }};
}
#[allow(unused_imports, reason = "as above")]
pub(crate) use event;
