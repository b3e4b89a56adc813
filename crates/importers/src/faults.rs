//! What is wrong with a file, gathered so that all of it is said at once.

use super::Error;

/// The most faults that are said; the rest is counted. A file with more is most likely of another kind altogether.
const SAID_MAX: usize = 50;

/// The faults found so far.
#[derive(Debug, Default)]
pub struct Faults {
    said: Vec<Error>,
    more: usize,
}

impl Faults {
    /// Notes a fault.
    pub fn add(&mut self, fault: Error) {
        if self.said.len() < SAID_MAX {
            self.said.push(fault);
        } else {
            self.more += 1;
        }
    }

    /// The value; where there is none, its fault is noted.
    pub fn take<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|fault| self.add(fault)).ok()
    }

    /// The value, if nothing was wrong.
    ///
    /// # Errors
    ///
    /// Everything that was.
    pub fn finish<T>(mut self, value: T) -> Result<T, Error> {
        match (self.said.pop(), self.said.is_empty()) {
            (None, _) => Ok(value),
            (Some(only), true) => Err(only),
            (Some(last), false) => {
                self.said.push(last);
                Err(Error::Several { said: self.said, more: self.more })
            }
        }
    }
}
