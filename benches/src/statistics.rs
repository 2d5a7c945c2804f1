//! Medians and spread of repeated measurements, since single ones vary on a shared machine.

/// Least, median and greatest value of the repetitions of one measurement.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Spread {
    pub least: f64,
    pub median: f64,
    pub most: f64,
}

impl Spread {
    /// The spread of all finite values; `None` when there is none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let upper = *values.get(values.len() / 2)?;
        let median = match values.len() % 2 {
            0 => (upper + values.get(values.len() / 2 - 1)?) / 2.0,
            _ => upper,
        };
        Some(Self { least, median, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_what_is_finite() {
        for (values, expected) in [
            (&[][..], None),
            (&[f64::NAN], None),
            (&[2.0], Some((2.0, 2.0, 2.0))),
            (&[3.0, 1.0, 2.0], Some((1.0, 2.0, 3.0))),
            (&[4.0, 1.0, 2.0, 3.0], Some((1.0, 2.5, 4.0))),
            (&[1.0, f64::INFINITY, 3.0], Some((1.0, 2.0, 3.0))),
        ] {
            let spread = Spread::of(values.iter().copied());
            let actual = spread.map(|spread| (spread.least, spread.median, spread.most));
            assert_eq!(actual, expected, "{values:?}");
        }
    }
}
