//! The markets of the source's tables.

use lodewatch_core::domain::{MarketKey, Mineral, Stage};
use std::sync::LazyLock;

/// `commodity,detail,mineral,stage,why_not`: the first line that matches counts. Commodity and
/// detail are as [`fold`] makes them; a detail may end in `*` for anything. A line without a
/// mineral says why its table is skipped.
const TABLES: &str = include_str!("tables.csv");

struct TableLine {
    commodity: String,
    detail: String,
    table: SourceTable,
}

/// What a table of the source stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SourceTable {
    /// The production of a market.
    Market(MarketKey),
    /// It cannot be used.
    Unusable {
        /// Whether this holds for every table of the commodity.
        wholly: bool,
        reason: String,
    },
}

static LINES: LazyLock<Vec<TableLine>> = LazyLock::new(|| {
    let mut lines = Vec::new();
    for record in csv::Reader::from_reader(TABLES.as_bytes()).into_records() {
        let record = record.expect("the bundled list of tables is well-formed");
        let field = |at: usize| record.get(at).expect("the list of tables has five columns");
        let table = if field(2).is_empty() {
            SourceTable::Unusable { wholly: field(1) == "*", reason: field(4).to_owned() }
        } else {
            let mineral =
                Mineral::parse(field(2)).expect("tables are of minerals of the catalogue");
            let stage = Stage::parse(field(3)).expect("tables are of a known stage");
            SourceTable::Market(MarketKey { mineral, stage })
        };
        lines.push(TableLine {
            commodity: field(0).to_owned(),
            detail: field(1).to_owned(),
            table,
        });
    }
    lines
});

/// What a table stands for; `None` where it is unknown.
pub(super) fn find(commodity: &str, detail: &str) -> Option<&'static SourceTable> {
    let (commodity, detail) = (fold(commodity), fold(detail));
    let fits = |line: &&TableLine| line.commodity == commodity && matches(&line.detail, &detail);
    LINES.iter().find(fits).map(|line| &line.table)
}

fn matches(pattern: &str, detail: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or_else(|| pattern == detail, |beginning| detail.starts_with(beginning))
}

/// Lower case, one space between words, one kind of apostrophe, without a final full stop and
/// without the `rounded` that the source appends to world totals.
fn fold(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ").to_lowercase().replace('’', "'");
    let text = text.trim_end_matches('.');
    let text =
        text.strip_suffix("rounded").map_or(text, |rest| rest.trim_end_matches([' ', ':', ',']));
    text.to_owned()
}
