/// `work` inside the span that is current now, wherever it is polled; without the feature `tracing`, `work` itself.
pub(crate) fn in_current_span<F: Future>(work: F) -> impl Future<Output = F::Output> {
    #[cfg(feature = "tracing")]
    let work = tracing::Instrument::in_current_span(work);
    work
}
