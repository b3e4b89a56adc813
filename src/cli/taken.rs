//! What an importer took and what it left, as people read it on standard error.

use crate::feed_sync::Taken;
use lodewatch_importers::Skipped;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What was taken as one line; then how much was left out, by reason, the most frequent first. With `named`, both are
/// followed by everything that they are about.
pub(super) fn summary(taken: &Taken, skipped: &[Skipped], named: bool) -> String {
    let mut text = format!("taken: {}\n", taken.count);
    for one in taken.names.iter().filter(|_| named) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "          {one}");
    }
    if skipped.is_empty() {
        text.push_str("left out: nothing\n");
        return text;
    }
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Skipped { what, why } in skipped {
        reasons.entry(why).or_default().push(what);
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    // The sort is stable: where counts are equal, the order of the alphabet stays.
    reasons.sort_by_key(|(_, what)| std::cmp::Reverse(what.len()));
    let hint = if named { "" } else { "; --verbose names them" };
    let _ = writeln!(text, "left out: {}{hint}", skipped.len());
    for (why, what) in reasons {
        let _ = writeln!(text, "{:>6}  {why}", what.len());
        for one in what.iter().filter(|_| named) {
            let _ = writeln!(text, "          {one}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_counted_by_reason_and_named_on_demand() {
        let skipped = |what: &str, why: &str| Skipped { what: what.into(), why: why.into() };
        let all = [
            skipped("Scandium", "no countries"),
            skipped("tin mining 2025, India", "NA, not available"),
            skipped("Yttrium", "no countries"),
            skipped("Boron", "cannot be added"),
        ];
        let names = vec!["tin mining: 2024, 2025".to_owned()];
        let taken = Taken { count: "2 reports of 1 market".to_owned(), names };
        let told =
            [summary(&taken, &all, false), summary(&taken, &all, true), summary(&taken, &[], true)];
        insta::assert_snapshot!(told.join("\n"));
    }
}
