//! Concentration: the value of a metric as an interval of exact integers, and the contributions to
//! it.

use super::exposure::Exposure;
use crate::domain::alert::Contribution;
use crate::domain::rule::Metric;
use crate::domain::share::{Amount, Interval, Ppm, Unit, Weight, Wgi};
use crate::domain::{Country, Report};
use std::collections::BTreeMap;

/// The inputs of a metric.
#[derive(Debug, Clone, Copy)]
pub struct MetricInputs<'a> {
    /// The shares.
    pub report: &'a Report,
    /// The countries with measures that count for the buyer.
    pub exposure: &'a Exposure,
    /// Governance weights, for `hhi_wgi_t` only.
    pub wgi: &'a BTreeMap<Country, Wgi>,
}

impl MetricInputs<'_> {
    /// The value of a metric, in [`Metric::unit`]. The variants of [`Metric`] state the definitions
    /// and their sources.
    ///
    /// Bounds: the residual is spread over many suppliers at the lower bound, and held by one at
    /// the upper, where that supplier can matter to the metric. A restricted country is never
    /// removed and the rest renormalized: the index would fall when a ban takes effect.
    pub fn value(&self, metric: &Metric) -> Interval {
        self.value_from(metric, || self.squares())
    }

    /// The same with a given sum of squares, which depends only on the report.
    pub(super) fn value_from(&self, metric: &Metric, squares: impl Fn() -> Amount) -> Interval {
        match metric {
            Metric::Top1Share => self.largest(1),
            Metric::Cr3 => self.largest(3),
            Metric::NMinus1 => rest_of_whole(self.largest(1)),
            Metric::AvailableShare => rest_of_whole(self.sum(metric, squares)),
            Metric::CountryShare(_)
            | Metric::GroupShare(_)
            | Metric::Hhi
            | Metric::HhiT
            | Metric::RestrictedShare
            | Metric::HhiWgiT
            | Metric::AnnouncedHhiT
            | Metric::AnnouncedRestrictedShare => self.sum(metric, squares),
        }
    }

    /// The contributions to [`Self::value`]: those that are not `upper_only` add up to the lower
    /// bound, all of them to the upper. For `available_share` and `n_minus_1` they add up to what
    /// is subtracted from the whole.
    pub fn contributions(&self, metric: &Metric) -> Vec<Contribution> {
        let mut contributions = Vec::new();
        match metric {
            Metric::Top1Share | Metric::NMinus1 => {
                self.leading_contributions(1, &mut contributions);
            }
            Metric::Cr3 => self.leading_contributions(3, &mut contributions),
            Metric::AvailableShare
            | Metric::CountryShare(_)
            | Metric::GroupShare(_)
            | Metric::Hhi
            | Metric::HhiT
            | Metric::RestrictedShare
            | Metric::HhiWgiT
            | Metric::AnnouncedHhiT
            | Metric::AnnouncedRestrictedShare => {
                self.for_each_contribution(metric, |contribution| contributions.push(contribution));
            }
        }
        contributions
    }

    fn named(&self) -> impl Iterator<Item = (Country, Ppm)> {
        named(self.report)
    }

    /// The share that one country without a share of its own may hold: the residual, where a figure
    /// is withheld.
    fn hidden(&self) -> Option<Ppm> {
        let withheld = self.report.rows().iter().any(|row| row.share.is_none());
        (withheld && self.report.residual() > Ppm::ZERO).then(|| self.report.residual())
    }

    /// The sum of the `count` largest shares; a withheld supplier may hold up to the residual.
    fn largest(&self, count: usize) -> Interval {
        let top = |hidden: Option<Ppm>| -> Amount {
            let mut best = [0_u32; 3];
            for share in self.named().map(|(_, share)| share).chain(hidden) {
                let mut carried = share.get();
                for slot in best.iter_mut().take(count) {
                    if carried > *slot {
                        std::mem::swap(&mut carried, slot);
                    }
                }
            }
            best.iter().map(|share| i64::from(*share)).sum()
        };
        let lower = top(None);
        let upper = self.hidden().map_or(lower, |hidden| top(Some(hidden)));
        Interval { lower, upper }
    }

    fn leading_contributions(&self, count: usize, contributions: &mut Vec<Contribution>) {
        let mut rows: Vec<(Country, Ppm)> =
            self.named().filter(|(_, share)| *share > Ppm::ZERO).collect();
        // The sort is stable and the rows are by country, so that a tie goes by country code.
        rows.sort_by_key(|(_, share)| std::cmp::Reverse(*share));
        contributions.extend(rows.into_iter().take(count).map(|(country, share)| {
            let amount = i64::from(share.get());
            certain(country, share, Weight::ONE, amount)
        }));
        let Interval { lower, upper } = self.largest(count);
        if upper > lower {
            contributions.push(residual(self.report, Weight::ONE, upper.saturating_sub(lower)));
        }
    }

    /// The sum of the contributions, without computing each: most markets have few measures or
    /// none, and rules are evaluated often. A property test checks that it is their sum.
    fn sum(&self, metric: &Metric, squares: impl Fn() -> Amount) -> Interval {
        let certain = match metric {
            Metric::Hhi => squares(),
            Metric::HhiT | Metric::AnnouncedHhiT => {
                squares().saturating_add(self.restricted(|share, weight| {
                    points(share, weight).saturating_sub(points(share, Weight::ONE))
                }))
            }
            Metric::RestrictedShare | Metric::AvailableShare | Metric::AnnouncedRestrictedShare => {
                self.restricted(|share, _| i64::from(share.get()))
            }
            Metric::HhiWgiT
            | Metric::CountryShare(_)
            | Metric::GroupShare(_)
            | Metric::Top1Share
            | Metric::Cr3
            | Metric::NMinus1 => return self.sum_of_contributions(metric),
        };
        let residual = self.residual_contribution(metric).map_or(0, |(_, amount)| amount);
        Interval { lower: certain, upper: certain.saturating_add(residual) }
    }

    /// The sum of the squares of all named shares, without weights.
    pub(super) fn squares(&self) -> Amount {
        let squares = self.named().map(|(_, share)| points(share, Weight::ONE));
        squares.fold(0, Amount::saturating_add)
    }

    /// The sum of `amount` over the named shares of restricted countries.
    fn restricted(&self, amount: impl Fn(Ppm, Weight) -> Amount) -> Amount {
        let shares = self.exposure.iter().filter_map(|(country, weight)| {
            self.report.share(country).map(|share| amount(share, weight))
        });
        shares.fold(0, Amount::saturating_add)
    }

    fn sum_of_contributions(&self, metric: &Metric) -> Interval {
        let mut interval = Interval::default();
        self.for_each_contribution(metric, |contribution| {
            interval.upper = interval.upper.saturating_add(contribution.amount);
            if !contribution.upper_only {
                interval.lower = interval.lower.saturating_add(contribution.amount);
            }
        });
        interval
    }

    /// Calls `each` with every contribution that is not zero, by country, the residual last.
    /// Allocates nothing.
    fn for_each_contribution(&self, metric: &Metric, mut each: impl FnMut(Contribution)) {
        for (country, share) in self.named() {
            if let Some(contribution) = self
                .contribution(metric, country, share)
                .filter(|contribution| contribution.amount > 0)
            {
                each(contribution);
            }
        }
        if let Some((weight, amount)) =
            self.residual_contribution(metric).filter(|(_, amount)| *amount > 0)
        {
            each(residual(self.report, weight, amount));
        }
    }

    /// The contribution of a country to a metric that is a sum over countries; `None` where it does
    /// not count.
    fn contribution(&self, metric: &Metric, country: Country, share: Ppm) -> Option<Contribution> {
        let weight = || self.exposure.weight(country);
        match metric {
            Metric::Hhi => Some(certain(country, share, Weight::ONE, points(share, Weight::ONE))),
            Metric::HhiT | Metric::AnnouncedHhiT => {
                let weight = weight().unwrap_or_default();
                Some(certain(country, share, weight, points(share, weight)))
            }
            Metric::HhiWgiT => {
                let weight = weight().unwrap_or_default();
                let wgi = self.wgi.get(&country).copied();
                let amount = governed(share, weight, wgi.unwrap_or(Wgi::WORST));
                let contribution = certain(country, share, weight, amount);
                Some(Contribution { upper_only: wgi.is_none(), ..contribution })
            }
            Metric::RestrictedShare | Metric::AvailableShare | Metric::AnnouncedRestrictedShare => {
                weight().map(|weight| certain(country, share, weight, i64::from(share.get())))
            }
            Metric::CountryShare(_) | Metric::GroupShare(_) => {
                let counts = metric.countries().contains(&country);
                let amount = i64::from(share.get());
                counts.then(|| certain(country, share, Weight::ONE, amount))
            }
            Metric::Top1Share | Metric::Cr3 | Metric::NMinus1 => {
                unreachable!("the largest shares are not a sum over all countries")
            }
        }
    }

    /// The weight and contribution of the residual at the upper bound; `None` where it cannot add
    /// anything.
    fn residual_contribution(&self, metric: &Metric) -> Option<(Weight, Amount)> {
        let residual = self.report.residual();
        let unnamed = |country: &Country| self.report.share(*country).is_none();
        let heaviest = || {
            let hidden = self.exposure.iter().filter(|(country, _)| unnamed(country));
            hidden.map(|(_, weight)| weight).max()
        };
        match metric {
            Metric::Hhi => Some((Weight::ONE, points(residual, Weight::ONE))),
            Metric::HhiT | Metric::AnnouncedHhiT => {
                let weight = heaviest().unwrap_or_default();
                Some((weight, points(residual, weight)))
            }
            Metric::HhiWgiT => {
                let weight = heaviest().unwrap_or_default();
                Some((weight, governed(residual, weight, Wgi::WORST)))
            }
            Metric::RestrictedShare | Metric::AvailableShare | Metric::AnnouncedRestrictedShare => {
                heaviest().map(|weight| (weight, i64::from(residual.get())))
            }
            Metric::CountryShare(_) | Metric::GroupShare(_) => metric
                .countries()
                .iter()
                .any(unnamed)
                .then(|| (Weight::ONE, i64::from(residual.get()))),
            Metric::Top1Share | Metric::Cr3 | Metric::NMinus1 => {
                unreachable!("the largest shares are not a sum over all countries")
            }
        }
    }
}

/// The countries with the largest named share: all of them at a tie, none where every share is
/// withheld or zero.
pub fn leaders(report: &Report) -> Vec<Country> {
    let top = named(report).map(|(_, share)| share).max().unwrap_or_default();
    named(report)
        .filter(|(_, share)| *share == top && top > Ppm::ZERO)
        .map(|(country, _)| country)
        .collect()
}

fn named(report: &Report) -> impl Iterator<Item = (Country, Ppm)> {
    report.rows().iter().filter_map(|row| Some((row.country, row.share?)))
}

fn rest_of_whole(part: Interval) -> Interval {
    let whole = Unit::Share.per_one();
    Interval { lower: whole.saturating_sub(part.upper), upper: whole.saturating_sub(part.lower) }
}

fn certain(country: Country, share: Ppm, weight: Weight, amount: Amount) -> Contribution {
    Contribution { country: Some(country), share, weight, amount, upper_only: false }
}

fn residual(report: &Report, weight: Weight, amount: Amount) -> Contribution {
    Contribution { country: None, share: report.residual(), weight, amount, upper_only: true }
}

/// 10⁴·s²·t in units of 10⁻¹¹ point: at most 3·10¹⁵ for one country.
fn points(share: Ppm, weight: Weight) -> Amount {
    let share = i64::from(share.get());
    share.saturating_mul(share).saturating_mul(i64::from(weight.permille()))
}

/// s²·WGI·t in units of 10⁻¹⁷: at most 3·10¹⁸ for one country; shares of up to 102 % stay below
/// 2⁶³.
fn governed(share: Ppm, weight: Weight, wgi: Wgi) -> Amount {
    points(share, weight).saturating_mul(i64::from(wgi.hundredths()))
}
