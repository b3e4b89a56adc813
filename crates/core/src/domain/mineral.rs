//! Minerals: commodities of the catalogue, their aliases and their groups.

use super::catalogue::{CATALOGUE, Commodity};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A mineral of the catalogue. Shown, sent and persisted as its slug (`gallium`,
/// `rare_earths_magnet`), and ordered by it: the number is the slug's position among all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mineral(pub(super) u16);

impl Mineral {
    /// Reads a slug, a name or an alias ("REE"), in any case, with blanks, hyphens or underscores
    /// between words.
    pub fn parse(text: &str) -> Option<Self> {
        Self::of_slug(text).or_else(|| CATALOGUE.by_name.get(&normalize(text)).copied())
    }

    fn of_slug(slug: &str) -> Option<Self> {
        let by_slug = |one: &Commodity| one.slug.as_str().cmp(slug);
        let at = CATALOGUE.commodities.binary_search_by(by_slug).ok()?;
        u16::try_from(at).ok().map(Self)
    }

    /// Every mineral of the catalogue, by slug.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CATALOGUE.commodities.len()).filter_map(|at| u16::try_from(at).ok().map(Self))
    }

    /// The stable name in the API and in storage: `rare_earths`.
    pub fn slug(self) -> &'static str {
        &self.commodity().slug
    }

    /// The name that people read: `rare earths`.
    pub fn name(self) -> &'static str {
        &self.commodity().name
    }

    /// The group it is part of, if any: `rare_earths_magnet` is part of `rare_earths`.
    pub fn parent(self) -> Option<Self> {
        self.commodity().parent
    }

    /// Itself, all groups that it is part of, and all its parts; by slug.
    pub fn family(self) -> &'static [Self] {
        &self.commodity().family
    }

    /// Whether this is `group` or part of it, at any depth.
    pub fn is_within(self, group: Self) -> bool {
        self == group || self.parent().is_some_and(|parent| parent.is_within(group))
    }

    /// The slugs with the names most similar to a text, at most three; for error messages. None for
    /// a text of more than 256 bytes.
    pub fn similar_names(text: &str) -> Vec<String> {
        if text.len() > SIMILAR_BYTES_MAX {
            return Vec::new();
        }
        most_similar(
            &normalize(text),
            CATALOGUE.by_name.iter().map(|(name, id)| (name.as_str(), id.slug())),
        )
    }

    fn commodity(self) -> &'static Commodity {
        CATALOGUE
            .commodities
            .get(usize::from(self.0))
            .expect("minerals are made from the catalogue")
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

/// The longest text for which similar names are searched, in bytes.
pub(super) const SIMILAR_BYTES_MAX: usize = 256;

/// The most similar of `known` (normalized name, what to show) to a normalized text: those at the
/// least edit distance, at most three, each once. Names that differ in more than a third of the
/// letters are ignored, without a comparison where the lengths alone differ by as much.
pub(super) fn most_similar<'a>(
    wanted: &str,
    known: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<String> {
    const DISTANCE_MAX: usize = 3;
    let chars = wanted.chars().count();
    let distance_max = (chars / 3).min(DISTANCE_MAX);
    let mut found: Vec<(usize, &str)> = known
        .filter(|(name, _)| name.chars().count().abs_diff(chars) <= distance_max)
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
pub(super) fn normalize(name: &str) -> String {
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
    }

    #[test]
    fn an_unknown_name_suggests_the_most_similar_ones() {
        let check =
            |text: &str, near: &[&str]| assert_eq!(Mineral::similar_names(text), near, "{text}");
        check("galium", &["gallium"]);
        check("Rare earth elemnts", &["rare_earths"]);
        check("natural grafite", &["graphite_natural"]);
        check("neon gas", &[]);
        check("unobtainium", &[]);
        check(&"gallium".repeat(100_000), &[]);
    }

    #[test]
    fn magnet_rare_earths_are_rare_earths() {
        let group = Mineral::parse("rare_earths").unwrap();
        let part = Mineral::parse("rare_earths_magnet").unwrap();
        assert!(part.is_within(group) && !group.is_within(part));
        assert!(part.family().contains(&group) && group.family().contains(&part));
        for one in Mineral::all() {
            let related = |other: &Mineral| other.is_within(one) || one.is_within(*other);
            assert_eq!(one.family(), Mineral::all().filter(related).collect::<Vec<_>>(), "{one}");
        }
    }
}
