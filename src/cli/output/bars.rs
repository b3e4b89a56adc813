//! Values as bars and on scales, drawn with characters.

use lodewatch_proto::v1::Interval;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Partial blocks, in steps of an eighth of a column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A bar of `part` (0 to 1) of `columns`, to an eighth of a column; a `part` above 0 has at least
/// an eighth.
pub(super) fn bar(part: f64, columns: usize) -> String {
    let min = usize::from(part > 0.0);
    let eighths = scaled(part, columns.saturating_mul(8)).max(min);
    let last = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    format!("{}{last}", "█".repeat(eighths / 8))
}

/// A scale from 0 to `max` with marks, in three parts: before the value, the value, after it.
pub(super) fn scale(columns: usize, max: f64, value: Interval, marks: &[f64]) -> [String; 3] {
    let last = columns.saturating_sub(1);
    let at = |value: f64| scaled(value / max, last);
    let is_marked = |column: usize| marks.iter().any(|mark| at(*mark) == column);
    let part = |from: usize, to: usize| {
        (from..to).map(|column| if is_marked(column) { '┼' } else { '─' }).collect::<String>()
    };
    let (from, to) = (at(value.lower), at(value.upper).saturating_add(1));
    [part(0, from), "█".repeat(to.saturating_sub(from)), part(to, columns)]
}

/// `part` of `whole`, rounded, at most `whole`.
fn scaled(part: f64, whole: usize) -> usize {
    let exact = Decimal::try_from(part).unwrap_or_default() * Decimal::from(whole);
    exact.round().to_usize().unwrap_or_default().min(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_exact_to_an_eighth_of_a_column() {
        for (part, expected) in [
            (0.0, ""),
            (0.0001, "▏"),
            (0.125, "█"),
            (0.5, "████"),
            (0.51, "████▏"),
            (1.0, "████████"),
        ] {
            assert_eq!(bar(part, 8), expected, "{part}");
        }
        assert_eq!(bar(1.5, 2), "██", "shares may add up to more than the whole");
    }

    #[test]
    fn a_scale_shows_the_interval_and_the_thresholds() {
        let shown = |lower, upper| {
            scale(11, 10_000.0, Interval { lower, upper }, &[1000.0, 8000.0]).concat()
        };
        assert_eq!(shown(3000.0, 5000.0), "─┼─███──┼──");
        assert_eq!(shown(9801.0, 9802.0), "─┼──────┼─█");
        assert_eq!(shown(0.0, 0.0), "█┼──────┼──");
    }
}
