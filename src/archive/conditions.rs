//! Converts the simple parts of a filter to SQL conditions; [`Filter::wants`] decides the rest.

use super::row::{level_number, signed};
use lodewatch_core::domain::filter::Exercises;
use lodewatch_core::domain::{Filter, Mineral};
use rusqlite::types::Value;
use std::fmt::{Display, Write};

/// SQL conditions that must all hold, and their values.
#[derive(Default)]
pub(super) struct SqlConditions {
    sql: String,
    pub(super) values: Vec<Value>,
}

impl SqlConditions {
    /// Conditions that every alert of the filter meets. An alert that meets them may still not pass
    /// the filter, since they ignore the countries.
    pub(super) fn of(filter: &Filter) -> Self {
        let mut conditions = Self::default();
        if !filter.minerals.is_empty() {
            let is_part = |one: &Mineral| filter.minerals.iter().any(|group| one.is_within(*group));
            conditions.one_of("mineral", Mineral::all().filter(is_part));
        }
        conditions.one_of("stage", &filter.stages);
        conditions.one_of("rule", &filter.rules);
        conditions.one_of("kind", &filter.kinds);
        if !filter.destinations.is_empty() {
            conditions.sql.push_str(" AND (destination IS NULL OR destination");
            conditions.list(&filter.destinations);
            conditions.sql.push(')');
        }
        if let Some(lowest) = filter.minimum_level {
            conditions.number("level >=", level_number(lowest));
        }
        match filter.exercises {
            Exercises::Exclude => conditions.number("exercise =", 0),
            Exercises::Include => {}
            Exercises::Only => conditions.number("exercise =", 1),
        }
        conditions
    }

    /// Adds a condition: `and("sequence >", 5)`.
    pub(super) fn and(&mut self, comparison: &str, number: u64) {
        self.number(comparison, signed(number));
    }

    /// The statement that selects the alerts that meet the conditions; all alerts where there are
    /// none.
    pub(super) fn select(&self, columns: &str, order: &str) -> String {
        format!("SELECT {columns} FROM alerts WHERE TRUE{} ORDER BY {order}", self.sql)
    }

    fn number(&mut self, comparison: &str, number: i64) {
        write!(self.sql, " AND {comparison} ?").expect("writing to a string cannot fail");
        self.values.push(Value::Integer(number));
    }

    /// A single name uses the column's index, which yields sequences in order. For several names
    /// SQLite would have to sort every match; a scan in order that skips the rest stops as soon as
    /// it has enough (`+` keeps SQLite from using the index).
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
