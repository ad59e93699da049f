//! capwatch
