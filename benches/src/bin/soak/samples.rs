//! Every sample, as CSV.
use crate::{
    drive::Counts,
    sample::{COLUMNS, Sample},
};
use std::{
    fs::File,
    io::{BufWriter, Write},
};
use steadfast::error::BoxError;
use tokio::time::Instant;

pub(crate) struct Samples {
    file: Option<BufWriter<File>>,
    began: Instant,
}

impl Samples {
    pub(crate) fn new(path: Option<&str>) -> Result<Self, BoxError> {
        let mut file = path.map(File::create).transpose()?.map(BufWriter::new);
        if let Some(file) = &mut file {
            writeln!(file, "part,phase,second,calls,good,{}", COLUMNS.join(","))?;
        }
        Ok(Self { file, began: Instant::now() })
    }

    pub(crate) fn write(&mut self, part: &str, phase: &str, counts: Counts, sample: &Sample) -> Result<(), BoxError> {
        if let Some(file) = &mut self.file {
            let second = self.began.elapsed().as_secs_f64();
            let values = sample.values().map(|value| value.to_string()).join(",");
            writeln!(file, "{part},{phase},{second:.1},{},{},{values}", counts.calls, counts.good)?;
            file.flush()?;
        }
        Ok(())
    }
}
