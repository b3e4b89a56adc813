//! The catalogue of minerals, `catalogue.csv`, read once.
//!
//! A line is `slug,name,parent,aliases,hs_mining,hs_refining`. Aliases and codes are separated by
//! `;`. Codes are subheadings of the Harmonized System, edition 2022, and those of earlier editions
//! that it dropped and did not reuse. Ores and concentrates count as mining; unwrought metal,
//! oxides, compounds and ferro-alloys as refining; an element as the stage of its market. A code of
//! a group stands for all its members. Scrap and articles are omitted: they are part of neither
//! stage's production.

use super::hs::HsCode;
use super::market::{MarketKey, Stage};
use super::mineral::{Mineral, normalize};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const LINES: &str = include_str!("catalogue.csv");

pub(super) struct Commodity {
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) parent: Option<Mineral>,
    /// Itself, all groups that it is part of, and all its parts; by slug.
    pub(super) family: Vec<Mineral>,
}

#[derive(Default)]
pub(super) struct Catalogue {
    pub(super) commodities: Vec<Commodity>,
    /// By normalized slug, name and alias.
    pub(super) by_name: BTreeMap<String, Mineral>,
    /// By mineral, mining before refining.
    pub(super) by_hs: BTreeMap<HsCode, Vec<MarketKey>>,
}

pub(super) static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let records = csv::Reader::from_reader(LINES.as_bytes()).into_records();
    let mut lines: Vec<_> =
        records.map(|record| record.expect("the bundled catalogue is well-formed")).collect();
    lines.sort_unstable_by(|one, other| one.get(0).cmp(&other.get(0)));
    let slugs: Vec<&str> = lines.iter().filter_map(|line| line.get(0)).collect();
    let mut catalogue = Catalogue::default();
    for line in &lines {
        let fields = std::array::from_fn(|at| line.get(at).expect("the catalogue has six columns"));
        catalogue.add(&slugs, fields);
    }
    catalogue.find_families();
    catalogue
});

impl Catalogue {
    /// A mineral's number is its position among all slugs, so that numbers order as slugs do.
    fn add(&mut self, slugs: &[&str], [slug, name, parent, aliases, mining, refining]: [&str; 6]) {
        let number = |slug: &str| {
            let at = slugs.binary_search(&slug).expect("a parent is in the catalogue");
            Mineral(u16::try_from(at).expect("some hundred minerals"))
        };
        let mineral = number(slug);
        let parent = (!parent.is_empty()).then(|| number(parent));
        for known in [slug, name].into_iter().chain(parts(aliases)) {
            let taken = self.by_name.insert(normalize(known), mineral);
            assert!(taken.is_none_or(|other| other == mineral), "one name, one mineral: {known}");
        }
        for (stage, codes) in [(Stage::Mining, mining), (Stage::Refining, refining)] {
            for code in parts(codes) {
                let code = HsCode::parse(code).expect("a code of the catalogue has six digits");
                self.by_hs.entry(code).or_default().push(MarketKey { mineral, stage });
            }
        }
        let family = Vec::new();
        self.commodities.push(Commodity { slug: slug.into(), name: name.into(), parent, family });
    }

    fn find_families(&mut self) {
        let lines: Vec<Vec<Mineral>> = (0..self.commodities.len())
            .filter_map(|at| u16::try_from(at).ok().map(Mineral))
            .map(|mineral| self.line(mineral))
            .collect();
        for (at, commodity) in self.commodities.iter_mut().enumerate() {
            let Some(line) = lines.get(at) else { continue };
            let own = line.first();
            let parts = lines.iter().filter(|line| line.iter().skip(1).any(|one| Some(one) == own));
            commodity.family =
                line.iter().chain(parts.filter_map(|line| line.first())).copied().collect();
            commodity.family.sort_unstable();
        }
    }

    /// A mineral, its group, the group of that, and so on.
    fn line(&self, mineral: Mineral) -> Vec<Mineral> {
        let parent =
            |one: &Mineral| self.commodities.get(usize::from(one.0)).and_then(|one| one.parent);
        std::iter::successors(Some(mineral), parent).collect()
    }
}

fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split(';').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_line_of_the_catalogue_is_valid() {
        let mut reader = csv::Reader::from_reader(LINES.as_bytes());
        assert_eq!(
            reader.headers().unwrap().iter().collect::<Vec<_>>(),
            ["slug", "name", "parent", "aliases", "hs_mining", "hs_refining"]
        );
        let mut slugs = BTreeSet::new();
        for record in reader.into_records() {
            let record = record.unwrap();
            let slug = &record[0];
            assert!(slugs.insert(slug.to_owned()), "{slug} is listed twice");
            assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{slug}");
            assert_eq!(Mineral::parse(slug).unwrap().slug(), slug);
            for column in [4, 5] {
                let codes: Vec<&str> = parts(&record[column]).collect();
                assert!(codes.is_sorted() && codes.iter().all(|code| code.len() == 6), "{slug}");
                assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len(), "{slug}");
                for code in codes {
                    assert!(code.bytes().all(|b| b.is_ascii_digit()), "{slug}: {code}");
                    let chapter: u8 = code[..2].parse().unwrap();
                    assert!(matches!(chapter, 25..=28 | 31 | 38 | 71..=81), "{slug}: {code}");
                    let ores = code[..4].parse().unwrap();
                    let is_ore = (2601..=2617).contains(&ores);
                    assert!(!is_ore || column == 4, "{slug}: {code} is an ore");
                }
            }
        }
    }

    #[test]
    fn a_code_of_a_group_is_not_repeated_for_its_members() {
        for (code, markets) in &CATALOGUE.by_hs {
            for one in markets {
                for other in markets.iter().filter(|other| *other != one) {
                    let same_stage = one.stage == other.stage;
                    let within = one.mineral.is_within(other.mineral);
                    assert!(!(same_stage && within), "{code}: {one} and {other}");
                }
            }
        }
    }
}
