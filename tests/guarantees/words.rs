//! One test for each word of the contract, with the fault that it is about.
