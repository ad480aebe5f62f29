/// `event!(WARN, "what happened", field = value, ..)`: a tracing event, or nothing without the feature.
#[allow(unused_macros, reason = "only the patterns have events")]
macro_rules! event {
    ($level:ident, $message:literal $(, $($field:ident).+ = $value:expr)* $(,)?) => {{
        #[cfg(feature = "tracing")]
        tracing::event!(target: "steadfast", tracing::Level::$level, $($($field).+ = $value,)* $message);
        #[cfg(not(feature = "tracing"))]
        if false { $(let _ = &$value;)* }
    }};
}
#[allow(unused_imports, reason = "as above")]
pub(crate) use event;
