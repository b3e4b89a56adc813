//! Progress of long work on standard error; where that is no terminal, nothing.

use super::output;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use std::time::Duration;

/// How often what has no end in sight shows that it goes on.
const TICK: Duration = Duration::from_millis(100);

/// A bar that counts up to `total`; it is wiped away when it is dropped.
pub(super) fn bar(doing: &'static str, total: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len}, {eta} left");
    ProgressBar::new(total)
        .with_style(style.expect("the template is well-formed"))
        .with_message(doing)
        .with_finish(ProgressFinish::AndClear)
}

/// The same beside what is printed meanwhile: nothing where that goes to the terminal itself.
pub(super) fn bar_beside_output(doing: &'static str, total: u64) -> ProgressBar {
    match output::terminal_columns() {
        Some(_) => ProgressBar::hidden(),
        None => bar(doing, total),
    }
}

/// For what does not say how far it is.
pub(super) fn spinner(doing: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(doing);
    spinner.enable_steady_tick(TICK);
    spinner.with_finish(ProgressFinish::AndClear)
}
