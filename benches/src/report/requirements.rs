//! What must be reached, and whether it is.

mod rows;

pub(super) use rows::all;

use super::Table;

pub(super) struct Requirement {
    what: String,
    bound: Bound,
    unit: &'static str,
    /// `None`: not measured, and only counted in the list.
    measured: Option<f64>,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Requirement {
    fn new(what: impl Into<String>, bound: Bound, unit: &'static str, measured: f64) -> Self {
        let measured = Some(measured).filter(|measured| measured.is_finite());
        Self { what: what.into(), bound, unit, measured }
    }

    fn is_reached(&self) -> Option<bool> {
        self.measured.map(|measured| match self.bound {
            Bound::AtLeast(least) => measured >= least,
            Bound::AtMost(most) => measured <= most,
        })
    }
}

pub(super) fn render(requirements: &[Requirement]) -> String {
    let mut table = Table::new(["what", "required", "measured", "reached"]);
    let (mut measured, mut reached) = (0, 0);
    for requirement in requirements {
        let Some((figure, is_reached)) = requirement.measured.zip(requirement.is_reached()) else {
            continue;
        };
        measured += 1;
        reached += usize::from(is_reached);
        let unit = requirement.unit;
        table.row([
            requirement.what.clone(),
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
    use crate::report::Results;

    #[test]
    fn bounds_are_inclusive_and_what_is_not_measured_is_neither() {
        for (bound, measured, reached) in [
            (Bound::AtLeast(1.0), 1.0, Some(true)),
            (Bound::AtLeast(1.0), 0.99, Some(false)),
            (Bound::AtMost(1.0), 1.0, Some(true)),
            (Bound::AtMost(1.0), 1.01, Some(false)),
            (Bound::AtMost(1.0), f64::NAN, None),
        ] {
            assert_eq!(Requirement::new("x", bound, "x", measured).is_reached(), reached);
        }
        let text = render(&[Requirement::new("speed", Bound::AtLeast(1.15), "x", 1.2)]);
        assert!(text.contains("| speed | >= 1.15x |    1.20x |     yes |"), "{text}");
    }

    #[test]
    fn nothing_measured_is_a_list_of_questions() {
        let results = Results::read(std::path::Path::new("/nowhere")).unwrap();
        let list = all(&results, "pitwall");
        assert!(list.len() > 80 && list.iter().all(|one| one.is_reached().is_none()));
    }
}
