//! A progress bar on standard error; where that is no terminal, nothing.

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// A bar that counts up to `total`; it is wiped away when it is dropped.
pub(super) fn bar(doing: &'static str, total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}");
    ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX))
        .with_style(style.expect("the template is well-formed"))
        .with_message(doing)
        .with_finish(ProgressFinish::AndClear)
}
