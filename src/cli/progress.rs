//! A progress bar for jobs that turn out to be long.
//!
//! It appears on standard error after the first second, and only on a terminal; a job that ends
//! sooner leaves no trace.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{ProgressDrawTarget, ProgressStyle};

use super::Streams;
use crate::Progress;

const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Bar {
    started: Instant,
    /// `None` until the job has become long, and for ever where nobody would see it.
    bar: Option<indicatif::ProgressBar>,
    allowed: bool,
    template: &'static str,
}

impl Bar {
    /// Counts bytes.
    pub(crate) fn bytes(streams: &Streams<'_>) -> Self {
        Bar::new(streams, "{bar:40} {binary_bytes}/{binary_total_bytes} {eta:>4}")
    }

    /// Counts points.
    pub(crate) fn points(streams: &Streams<'_>) -> Self {
        Bar::new(streams, "{bar:40} {human_pos}/{human_len} points {eta:>4}")
    }

    fn new(streams: &Streams<'_>, template: &'static str) -> Self {
        Bar { started: Instant::now(), bar: None, allowed: streams.stderr_is_terminal, template }
    }

    /// Never shows itself: for a command whose results scroll over the same terminal.
    pub(crate) fn hidden_if(mut self, hidden: bool) -> Self {
        self.allowed &= !hidden;
        self
    }

    /// Notes how far the job has come. Cheap enough for every few thousand points, not for each.
    pub(crate) fn update(&mut self, done: u64, total: u64) {
        if !self.allowed || (self.bar.is_none() && self.started.elapsed() < PATIENCE) {
            return;
        }
        let template = self.template;
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let target = ProgressDrawTarget::stderr();
            indicatif::ProgressBar::with_draw_target(Some(total), target).with_style(style)
        });
        bar.set_length(total);
        bar.set_position(done);
    }

    /// The form in which the store reports.
    pub(crate) fn callback(&mut self) -> impl FnMut(Progress) {
        |progress| self.update(progress.done_bytes, progress.total_bytes)
    }

    /// The form in which a rewrite reports; a command goes on to its end.
    pub(crate) fn rewrite_callback(&mut self) -> impl FnMut(Progress) -> ControlFlow<()> {
        |progress| {
            self.update(progress.done_bytes, progress.total_bytes);
            ControlFlow::Continue(())
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
