/// `event!(WARN, "what happened", field = value, ..)`: a tracing event, or nothing without the feature.
macro_rules! event {
    ($level:ident, $message:literal $(, $($field:ident).+ = $value:expr)* $(,)?) => {{
        #[cfg(feature = "tracing")]
        tracing::event!(target: "steadfast", tracing::Level::$level, $($($field).+ = $value,)* $message);
        #[cfg(not(feature = "tracing"))]
        if false { $(let _ = &$value;)* }
    }};
}
pub(crate) use event;
