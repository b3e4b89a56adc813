//! Which table of the source is which market.

use lodewatch_core::domain::{MarketKey, Mineral, Stage};
use std::sync::LazyLock;

/// `commodity,detail,mineral,stage,why_not`: the first line that fits counts. Commodity and detail are as [`fold`] makes
/// them; a detail may end in `*` for anything. A line without a mineral says why its table is left out.
const TABLES: &str = include_str!("tables.csv");

struct Line {
    commodity: String,
    detail: String,
    table: Table,
}

/// What a table of the source is to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Table {
    /// The production of a market.
    Market(MarketKey),
    /// Nothing that can be used.
    Unusable {
        /// Whether that is so of everything that the source says of the commodity.
        wholly: bool,
        /// Why.
        why: String,
    },
}

static LINES: LazyLock<Vec<Line>> = LazyLock::new(|| {
    let mut lines = Vec::new();
    for record in csv::Reader::from_reader(TABLES.as_bytes()).into_records() {
        let record = record.expect("the bundled list of tables is well-formed");
        let field = |at: usize| record.get(at).expect("the list of tables has five columns");
        let table = if field(2).is_empty() {
            Table::Unusable { wholly: field(1) == "*", why: field(4).to_owned() }
        } else {
            let mineral =
                Mineral::parse(field(2)).expect("tables are of minerals of the catalogue");
            let stage = Stage::parse(field(3)).expect("tables are of a known stage");
            Table::Market(MarketKey { mineral, stage })
        };
        lines.push(Line { commodity: field(0).to_owned(), detail: field(1).to_owned(), table });
    }
    lines
});

/// What a table is; `None` where it is not known.
pub(super) fn find(commodity: &str, detail: &str) -> Option<&'static Table> {
    let (commodity, detail) = (fold(commodity), fold(detail));
    let fits = |line: &&Line| line.commodity == commodity && matches(&line.detail, &detail);
    LINES.iter().find(fits).map(|line| &line.table)
}

fn matches(pattern: &str, detail: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or_else(|| pattern == detail, |beginning| detail.starts_with(beginning))
}

/// Lower case, one blank between words, one kind of apostrophe, without a final full stop and without the `rounded` that
/// the source appends for world totals.
fn fold(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ").to_lowercase().replace('’', "'");
    let text = text.trim_end_matches('.');
    let text =
        text.strip_suffix("rounded").map_or(text, |rest| rest.trim_end_matches([' ', ':', ',']));
    text.to_owned()
}
