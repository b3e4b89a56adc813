//! Minerals: the catalogue of commodities, their aliases and their groups.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// The catalogue: `slug,name,parent,aliases`; a parent stands before its members, aliases are separated by `;`.
const CATALOGUE: &str = include_str!("catalogue.csv");

struct Commodity {
    slug: String,
    name: String,
    parent: Option<Mineral>,
}

struct Catalogue {
    commodities: Vec<Commodity>,
    by_name: BTreeMap<String, Mineral>,
}

static CATALOGUED: LazyLock<Catalogue> = LazyLock::new(|| {
    let mut catalogue = Catalogue { commodities: Vec::new(), by_name: BTreeMap::new() };
    for record in csv::Reader::from_reader(CATALOGUE.as_bytes()).into_records() {
        let record = record.expect("the bundled catalogue is well-formed");
        let field = |at: usize| record.get(at).expect("the catalogue has four columns");
        let parent = (!field(2).is_empty())
            .then(|| *catalogue.by_name.get(field(2)).expect("a parent stands before its members"));
        let id =
            Mineral(u16::try_from(catalogue.commodities.len()).expect("some hundred minerals"));
        let aliases = field(3).split(';').filter(|alias| !alias.is_empty());
        for name in [field(0), field(1)].into_iter().chain(aliases) {
            let taken = catalogue.by_name.insert(fold(name), id);
            assert!(taken.is_none_or(|other| other == id), "one name, one mineral: {name}");
        }
        catalogue.commodities.push(Commodity {
            slug: field(0).into(),
            name: field(1).into(),
            parent,
        });
    }
    catalogue
});

/// A commodity of the catalogue; shown, sent and persisted as its slug (`gallium`, `rare_earths_magnet`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mineral(u16);

impl Mineral {
    /// Reads a slug, a name or an alias ("REE"), in any case, with blanks, hyphens or underscores between words.
    pub fn parse(text: &str) -> Option<Self> {
        CATALOGUED.by_name.get(&fold(text)).copied()
    }

    /// Every mineral of the catalogue, groups before their members.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CATALOGUED.commodities.len()).filter_map(|at| u16::try_from(at).ok().map(Self))
    }

    /// The stable name in the API and in storage: `rare_earths`.
    pub fn slug(self) -> &'static str {
        &self.commodity().slug
    }

    /// The name people read: `rare earths`.
    pub fn name(self) -> &'static str {
        &self.commodity().name
    }

    /// The group this is part of, if any: `rare_earths_magnet` is part of `rare_earths`.
    pub fn parent(self) -> Option<Self> {
        self.commodity().parent
    }

    /// Whether this is `group` or part of it, at any depth.
    pub fn is_within(self, group: Self) -> bool {
        self == group || self.parent().is_some_and(|parent| parent.is_within(group))
    }

    /// The names nearest to what was written, at most three; for error messages.
    pub fn near(text: &str) -> Vec<String> {
        nearest(&fold(text), CATALOGUED.by_name.iter().map(|(name, id)| (name.as_str(), id.slug())))
    }

    fn commodity(self) -> &'static Commodity {
        CATALOGUED
            .commodities
            .get(usize::from(self.0))
            .expect("minerals are made from the catalogue")
    }
}

impl PartialOrd for Mineral {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Ordered by slug, so that the order of everything derived does not depend on the catalogue's lines.
impl Ord for Mineral {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if self.0 == other.0 { std::cmp::Ordering::Equal } else { self.slug().cmp(other.slug()) }
    }
}

impl fmt::Display for Mineral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

impl fmt::Debug for Mineral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

impl Serialize for Mineral {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.slug())
    }
}

impl<'de> Deserialize<'de> for Mineral {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let slug = <&str>::deserialize(deserializer)?;
        Self::parse(slug).ok_or_else(|| serde::de::Error::custom(format!("unknown mineral {slug}")))
    }
}

/// The nearest of `known` (folded name, what to show) to a folded text: those at the least distance, at most three,
/// without repeats. Whatever differs in more than a third of its letters is noise.
pub(super) fn nearest<'a>(
    wanted: &str,
    known: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<String> {
    const DISTANCE_MAX: usize = 3;
    let distance_max = (wanted.chars().count() / 3).min(DISTANCE_MAX);
    let mut found: Vec<(usize, &str)> = known
        .map(|(name, shown)| (strsim::damerau_levenshtein(wanted, name), shown))
        .filter(|(distance, _)| *distance <= distance_max)
        .collect();
    found.sort_unstable();
    let least = found.first().map(|(distance, _)| *distance);
    let mut names: Vec<String> = Vec::new();
    for (distance, shown) in found {
        if Some(distance) == least && !names.iter().any(|name| name == shown) && names.len() < 3 {
            names.push(shown.to_owned());
        }
    }
    names
}

/// Lower case, words joined by underscores.
fn fold(name: &str) -> String {
    let words: Vec<String> = name
        .split(|c: char| c.is_whitespace() || c == '-' || c == '_')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_names_and_aliases_are_minerals() {
        for (text, slug) in [
            ("gallium", "gallium"),
            ("REE", "rare_earths"),
            ("Rare earth elements", "rare_earths"),
            ("Graphite (natural)", "graphite_natural"),
            ("rare-earths", "rare_earths"),
        ] {
            assert_eq!(Mineral::parse(text).map(Mineral::slug), Some(slug), "{text}");
        }
        assert!(Mineral::parse("unobtainium").is_none());
        assert_eq!(Mineral::near("galium"), ["gallium"]);
    }

    #[test]
    fn magnet_rare_earths_are_rare_earths() {
        let group = Mineral::parse("rare_earths").unwrap();
        let part = Mineral::parse("rare_earths_magnet").unwrap();
        assert!(part.is_within(group) && !group.is_within(part));
    }
}
