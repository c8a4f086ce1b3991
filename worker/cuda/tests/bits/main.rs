//! Every kernel, compiled for the CPU through the shim, against the scalar reference: bit for bit,
//! over odd shapes and values at the edges.

mod attention;
mod bounds;
mod candidates;
mod heads;
mod linear;
mod memory;
mod rows;
mod values;
