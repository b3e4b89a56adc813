//! What a market's value is: every metric as an interval of exact integers, and the arithmetic behind it.

use super::exposure::Exposure;
use crate::domain::alert::{Part, Why};
use crate::domain::rule::Metric;
use crate::domain::share::{Amount, Interval, Ppm, Unit, Weight};
use crate::domain::{Country, Report};

/// The value of a metric. Sources of the definitions stand at [`Metric`].
///
/// Bounds: what the source does not attribute, the residual, is spread over many at the lower bound and one holder's at
/// the upper, where that holder can matter to the metric. A restricted country is never removed and the rest
/// renormalised: the index would fall when a ban lands.
pub fn value(metric: &Metric, report: &Report, exposure: &Exposure) -> Interval {
    match metric {
        Metric::Top1Share => largest(report, 1),
        Metric::Cr3 => largest(report, 3),
        Metric::NMinus1 => rest_of_whole(largest(report, 1)),
        Metric::AvailableShare => rest_of_whole(sum(metric, report, exposure)),
        Metric::CountryShare(_)
        | Metric::GroupShare(_)
        | Metric::Hhi
        | Metric::HhiT
        | Metric::RestrictedShare => sum(metric, report, exposure),
    }
}

/// The arithmetic of [`value`]: the parts of the countries add up to the lower bound, all parts to the upper; for the
/// metrics that are the rest of a whole, to what is taken from it.
pub fn why(metric: &Metric, report: &Report, exposure: &Exposure) -> Why {
    let mut parts = Vec::new();
    match metric {
        Metric::Top1Share | Metric::NMinus1 => leading_parts(report, 1, &mut parts),
        Metric::Cr3 => leading_parts(report, 3, &mut parts),
        Metric::AvailableShare
        | Metric::CountryShare(_)
        | Metric::GroupShare(_)
        | Metric::Hhi
        | Metric::HhiT
        | Metric::RestrictedShare => {
            each_part(metric, report, exposure, |part| parts.push(part));
        }
    }
    Why { parts }
}

/// Who holds the largest named share: all of them at a tie, nobody where every share is withheld or nil.
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

fn rest_of_whole(taken: Interval) -> Interval {
    let whole = Unit::Share.per_one();
    Interval { lower: whole.saturating_sub(taken.upper), upper: whole.saturating_sub(taken.lower) }
}

/// The part of the residual that one country may hold that is not shown with a share of its own.
fn hidden(report: &Report) -> Option<Ppm> {
    let withheld = report.rows().iter().any(|row| row.share.is_none());
    (withheld && report.residual() > Ppm::ZERO).then(|| report.residual())
}

/// The sum of the `count` largest shares; a withheld supplier may hold up to the residual.
fn largest(report: &Report, count: usize) -> Interval {
    let top = |hidden: Option<Ppm>| -> Amount {
        let mut best = [0_u32; 3];
        for share in named(report).map(|(_, share)| share).chain(hidden) {
            let mut carried = share.get();
            for place in best.iter_mut().take(count) {
                if carried > *place {
                    std::mem::swap(&mut carried, place);
                }
            }
        }
        best.iter().map(|share| i64::from(*share)).sum()
    };
    Interval { lower: top(None), upper: top(hidden(report)) }
}

fn leading_parts(report: &Report, count: usize, parts: &mut Vec<Part>) {
    let mut rows: Vec<(Country, Ppm)> =
        named(report).filter(|(_, share)| *share > Ppm::ZERO).collect();
    // The sort is stable and the rows are by country, so that a tie goes by country code.
    rows.sort_by_key(|(_, share)| std::cmp::Reverse(*share));
    parts.extend(rows.into_iter().take(count).map(|(country, share)| Part {
        country: Some(country),
        share,
        weight: Weight::ONE,
        amount: i64::from(share.get()),
    }));
    let Interval { lower, upper } = largest(report, count);
    if upper > lower {
        let share = report.residual();
        parts.push(Part {
            country: None,
            share,
            weight: Weight::ONE,
            amount: upper.saturating_sub(lower),
        });
    }
}

fn sum(metric: &Metric, report: &Report, exposure: &Exposure) -> Interval {
    let mut interval = Interval::default();
    each_part(metric, report, exposure, |part| {
        interval.upper = interval.upper.saturating_add(part.amount);
        if part.country.is_some() {
            interval.lower = interval.lower.saturating_add(part.amount);
        }
    });
    interval
}

/// Calls with every part that is not nil, by country, the residual last. Allocates nothing.
fn each_part(metric: &Metric, report: &Report, exposure: &Exposure, mut each: impl FnMut(Part)) {
    for (country, share) in named(report) {
        let (weight, amount) = match metric {
            Metric::Hhi => (Weight::ONE, points(share, Weight::ONE)),
            Metric::HhiT => {
                let weight = exposure.weight(country).unwrap_or_default();
                (weight, points(share, weight))
            }
            Metric::RestrictedShare | Metric::AvailableShare => match exposure.weight(country) {
                Some(weight) => (weight, i64::from(share.get())),
                None => continue,
            },
            Metric::CountryShare(_) | Metric::GroupShare(_) => {
                if !metric.countries().contains(&country) {
                    continue;
                }
                (Weight::ONE, i64::from(share.get()))
            }
            Metric::Top1Share | Metric::Cr3 | Metric::NMinus1 => {
                unreachable!("the largest shares are no sum over all countries")
            }
        };
        if amount > 0 {
            each(Part { country: Some(country), share, weight, amount });
        }
    }
    if let Some((weight, amount)) =
        residual_part(metric, report, exposure).filter(|(_, amount)| *amount > 0)
    {
        each(Part { country: None, share: report.residual(), weight, amount });
    }
}

/// What the residual adds at the upper bound; `None` where it cannot add anything.
fn residual_part(
    metric: &Metric,
    report: &Report,
    exposure: &Exposure,
) -> Option<(Weight, Amount)> {
    let residual = report.residual();
    let unnamed = |country: &Country| report.share(*country).is_none();
    match metric {
        Metric::Hhi => Some((Weight::ONE, points(residual, Weight::ONE))),
        Metric::HhiT => {
            let heaviest = exposure
                .iter()
                .filter(|(country, _)| unnamed(country))
                .map(|(_, weight)| weight)
                .max();
            let weight = heaviest.unwrap_or_default();
            Some((weight, points(residual, weight)))
        }
        Metric::RestrictedShare | Metric::AvailableShare => {
            let heaviest = exposure
                .iter()
                .filter(|(country, _)| unnamed(country))
                .map(|(_, weight)| weight)
                .max();
            heaviest.map(|weight| (weight, i64::from(residual.get())))
        }
        Metric::CountryShare(_) | Metric::GroupShare(_) => {
            metric.countries().iter().any(unnamed).then(|| (Weight::ONE, i64::from(residual.get())))
        }
        Metric::Top1Share | Metric::Cr3 | Metric::NMinus1 => {
            unreachable!("the largest shares are no sum over all countries")
        }
    }
}

/// 10⁴·s²·t in units of 10⁻¹¹ point: at most 3·10¹⁵ for one country.
fn points(share: Ppm, weight: Weight) -> Amount {
    let share = i64::from(share.get());
    share.saturating_mul(share).saturating_mul(i64::from(weight.permille()))
}
