//! Converts the simple parts of a filter to SQL conditions; [`Filter::wants`] decides the rest.
//!
//! Those that narrow select rows by an index, so that rows which fail them cost nothing. Those that
//! test are computed for each row that is examined.

use super::row::{level_number, signed};
use lodewatch_core::domain::filter::Exercises;
use lodewatch_core::domain::{Filter, Mineral};
use rusqlite::types::Value;
use std::fmt::{Display, Write};

/// The countries that SQLite looks for in a row; more are left to [`Filter::wants`].
const COUNTRIES_MAX: usize = 16;

/// SQL conditions that must all hold, and their values.
#[derive(Default)]
pub(super) struct SqlConditions {
    narrow: SqlText,
    test: SqlText,
}

#[derive(Default)]
struct SqlText {
    sql: String,
    values: Vec<Value>,
}

impl SqlConditions {
    /// Conditions that every alert of the filter meets. An alert that meets them may still not pass
    /// the filter.
    pub(super) fn of(filter: &Filter) -> Self {
        let mut conditions = Self::default();
        if !filter.minerals.is_empty() {
            let is_part = |one: &Mineral| filter.minerals.iter().any(|group| one.is_within(*group));
            conditions.indexed("mineral", Mineral::all().filter(is_part).collect());
        }
        conditions.indexed("rule", filter.rules.iter().collect());
        let test = &mut conditions.test;
        test.one_of("stage", &filter.stages);
        test.one_of("kind", &filter.kinds);
        if !filter.destinations.is_empty() {
            test.sql.push_str(" AND (destination IS NULL OR destination");
            test.list(&filter.destinations);
            test.sql.push(')');
        }
        if (1..=COUNTRIES_MAX).contains(&filter.countries.len()) {
            // Codes of three letters with blanks between: no other three letters match.
            test.sql.push_str(" AND (FALSE");
            for country in &filter.countries {
                test.sql.push_str(" OR instr(countries, ?) > 0");
                test.values.push(Value::Text(country.to_string()));
            }
            test.sql.push(')');
        }
        if let Some(lowest) = filter.minimum_level {
            test.number("level >=", level_number(lowest));
        }
        match filter.exercises {
            Exercises::Exclude => test.number("exercise =", 0),
            Exercises::Include => {}
            Exercises::Only => test.number("exercise =", 1),
        }
        conditions
    }

    /// Adds a condition that narrows: `and("sequence >", 5)`.
    pub(super) fn and(&mut self, comparison: &str, number: u64) {
        self.narrow.number(comparison, signed(number));
    }

    /// The statement that selects the alerts that meet the conditions; all alerts where there are
    /// none.
    pub(super) fn select(&self, columns: &str, order: &str) -> String {
        let (narrow, test) = (&self.narrow.sql, &self.test.sql);
        format!("SELECT {columns} FROM alerts WHERE TRUE{narrow}{test} ORDER BY {order}")
    }

    /// The values of [`Self::select`].
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.narrow.values.iter().chain(&self.test.values)
    }

    /// The statement that selects the sequence of every alert that the narrow conditions leave, and
    /// whether it passes the test.
    pub(super) fn examine(&self, order: &str) -> String {
        let (narrow, test) = (&self.narrow.sql, &self.test.sql);
        format!("SELECT sequence, TRUE{test} FROM alerts WHERE TRUE{narrow} ORDER BY {order}")
    }

    /// The values of [`Self::examine`].
    pub(super) fn examine_values(&self) -> impl Iterator<Item = &Value> {
        self.test.values.iter().chain(&self.narrow.values)
    }

    /// A single name uses the column's index, which yields sequences in order. For several names
    /// SQLite would have to sort every match; a scan in order that skips the rest stops as soon as
    /// it has enough.
    fn indexed<T: Display>(&mut self, column: &str, names: Vec<T>) {
        let text = if names.len() == 1 { &mut self.narrow } else { &mut self.test };
        text.one_of(column, names);
    }
}

impl SqlText {
    fn number(&mut self, comparison: &str, number: i64) {
        write!(self.sql, " AND {comparison} ?").expect("writing to a string cannot fail");
        self.values.push(Value::Integer(number));
    }

    /// `+` keeps SQLite from using an index, where several names are tested.
    fn one_of<T: Display>(&mut self, column: &str, names: impl IntoIterator<Item = T>) {
        let names: Vec<T> = names.into_iter().collect();
        let plus = match names.as_slice() {
            [] => return,
            [_] => "",
            [..] => "+",
        };
        write!(self.sql, " AND {plus}{column}").expect("writing to a string cannot fail");
        self.list(names);
    }

    fn list<T: Display>(&mut self, names: impl IntoIterator<Item = T>) {
        self.sql.push_str(" IN (");
        for (at, name) in names.into_iter().enumerate() {
            self.sql.push_str(if at == 0 { "?" } else { ", ?" });
            self.values.push(Value::Text(name.to_string()));
        }
        self.sql.push(')');
    }
}
