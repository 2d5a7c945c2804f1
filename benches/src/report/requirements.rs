//! Required figures, and whether they are met.
//!
//! - [`definitions`]: the list of requirements.

mod definitions;

pub(super) use definitions::list_requirements;

use crate::table::Table;

pub(super) struct Requirement {
    description: String,
    bound: Bound,
    unit: &'static str,
    /// `None` when not measured; such a requirement is counted, but has no row.
    measured: Option<f64>,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Requirement {
    fn new(
        description: impl Into<String>,
        bound: Bound,
        unit: &'static str,
        measured: f64,
    ) -> Self {
        let measured = Some(measured).filter(|measured| measured.is_finite());
        Self { description: description.into(), bound, unit, measured }
    }

    fn is_met(&self) -> Option<bool> {
        self.measured.map(|measured| match self.bound {
            Bound::AtLeast(least) => measured >= least,
            Bound::AtMost(most) => measured <= most,
        })
    }
}

pub(super) fn render_requirements(requirements: &[Requirement]) -> String {
    let mut table = Table::new(["what", "required", "measured", "reached"]);
    let (mut measured, mut reached) = (0, 0);
    for requirement in requirements {
        let Some((figure, is_reached)) = requirement.measured.zip(requirement.is_met()) else {
            continue;
        };
        measured += 1;
        reached += usize::from(is_reached);
        let unit = requirement.unit;
        table.push_row([
            requirement.description.clone(),
            match requirement.bound {
                Bound::AtLeast(least) => format!(">= {least:.2}{unit}"),
                Bound::AtMost(most) => format!("<= {most:.2}{unit}"),
            },
            format!("{figure:.2}{unit}"),
            if is_reached { "yes" } else { "NO" }.to_owned(),
        ]);
    }
    format!(
        "\nwhat must be reached: {reached} of {measured} are, {} more are not measured\n{}",
        requirements.len() - measured,
        table.render()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::AllRecords;

    #[test]
    fn bounds_are_inclusive_and_what_is_not_measured_is_neither() {
        for (bound, measured, reached) in [
            (Bound::AtLeast(1.0), 1.0, Some(true)),
            (Bound::AtLeast(1.0), 0.99, Some(false)),
            (Bound::AtMost(1.0), 1.0, Some(true)),
            (Bound::AtMost(1.0), 1.01, Some(false)),
            (Bound::AtMost(1.0), f64::NAN, None),
        ] {
            assert_eq!(Requirement::new("x", bound, "x", measured).is_met(), reached);
        }
        let text =
            render_requirements(&[Requirement::new("speed", Bound::AtLeast(1.15), "x", 1.2)]);
        assert!(text.contains("| speed | >= 1.15x |    1.20x |     yes |"), "{text}");
    }

    #[test]
    fn without_records_no_requirement_is_met_or_missed() {
        let results = AllRecords::read(std::path::Path::new("/nowhere")).unwrap();
        let list = list_requirements(&results, "pitwall");
        assert!(list.len() > 80 && list.iter().all(|one| one.is_met().is_none()));
    }
}
