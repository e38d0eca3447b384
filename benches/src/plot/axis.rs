//! From figures to places on an axis, and the labels of ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// One axis of a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// The quantity, with its unit.
    pub(crate) label: &'static str,
    pub(crate) scale: Scale,
    /// Returns the label of a tick.
    pub(crate) text: fn(f64) -> String,
}

/// The relation of figures and places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Starts at zero; steps of one length are equal differences.
    Linear,
    /// Steps of one length are equal ratios.
    Log,
}

/// A range of places, and the places of its ticks.
pub(crate) struct Places {
    pub(crate) range: Range<f64>,
    pub(crate) ticks: Vec<f64>,
}

impl Axis {
    /// Returns the place of a figure.
    pub(crate) fn place(self, figure: f64) -> f64 {
        match self.scale {
            Scale::Linear => figure,
            Scale::Log => figure.max(f64::MIN_POSITIVE).log10(),
        }
    }

    /// Returns the label of a place.
    pub(crate) fn tick_text(self, place: f64) -> String {
        match self.scale {
            Scale::Linear => (self.text)(place),
            Scale::Log => (self.text)(10f64.powf(place)),
        }
    }

    /// Returns the range of places for these figures, with some room at its ends.
    pub(crate) fn range(self, figures: impl IntoIterator<Item = f64>) -> Range<f64> {
        let mut places = figures.into_iter().map(|figure| self.place(figure));
        let first = places.next().unwrap_or(0.0);
        let (low, high) =
            places.fold((first, first), |(low, high), place| (low.min(place), high.max(place)));
        match self.scale {
            Scale::Linear => 0.0..high * 1.1 + f64::MIN_POSITIVE,
            Scale::Log => {
                let room = ((high - low) * 0.06).max(0.1);
                low - room..high + room
            }
        }
    }

    /// Returns the places of round figures.
    pub(crate) fn ticks(self, range: &Range<f64>) -> Vec<f64> {
        let steps: &[f64] = match self.scale {
            Scale::Linear => return linear_ticks(range.end),
            Scale::Log if range.end - range.start > 3.0 => &[1.0],
            Scale::Log if range.end - range.start > 1.2 => &[1.0, 2.0, 5.0],
            Scale::Log => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        };
        let decades = range.start.floor() as i32..=range.end.ceil() as i32;
        let places = decades
            .flat_map(|decade| steps.iter().map(move |step| step.log10() + f64::from(decade)));
        places.filter(|place| range.contains(place)).collect()
    }
}

impl Ranged for Places {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (start, end): (i32, i32)) -> i32 {
        let part = (place - self.range.start) / (self.range.end - self.range.start);
        start + (part * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// Returns about six round figures, starting with 0.
fn linear_ticks(end: f64) -> Vec<f64> {
    let rough = end / 6.0;
    let decade = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|each| each * decade);
    let step = step.into_iter().find(|&step| step >= rough).unwrap_or(decade);
    (0..).map(|index| f64::from(index) * step).take_while(|&tick| tick <= end).collect()
}

/// Formats a number: `1`, `2,500`, `1.5 M`.
pub(crate) fn number(value: f64) -> String {
    if value >= 1e6 {
        return format!("{} M", trimmed(value / 1e6));
    }
    if value < 1000.0 {
        return trimmed(value);
    }
    let digits = format!("{value:.0}");
    let (thousands, rest) = digits.split_at(digits.len() - 3);
    format!("{thousands},{rest}")
}

/// Formats a number of bytes: `16 B`, `1 KiB`, `1 MiB`.
pub(crate) fn bytes(value: f64) -> String {
    let units = [(1024.0 * 1024.0, "MiB"), (1024.0, "KiB")];
    match units.into_iter().find(|(size, _)| value >= *size * 0.999) {
        Some((size, unit)) => format!("{} {unit}", trimmed(value / size)),
        None => format!("{value:.0} B"),
    }
}

/// Formats a number of bytes for an axis in megabytes.
pub(crate) fn megabytes(value: f64) -> String {
    trimmed(value / 1e6)
}

/// Formats a quantile. Its place is the number of its nines: `50 %`, `99.9 %`.
pub(crate) fn percent(place: f64) -> String {
    match place.round() as u32 {
        0 => "50 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        nines => format!("99.{} %", "9".repeat(nines as usize - 2)),
    }
}

/// Formats a number with at most two decimals.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Axis = Axis { label: "", scale: Scale::Log, text: number };

    #[test]
    fn ticks_read_as_people_write_them() {
        assert_eq!([0.5, 20.0, 1500.0, 250_000.0].map(number), ["0.5", "20", "1,500", "250,000"]);
        assert_eq!(number(1_500_000.0), "1.5 M");
        assert_eq!([16.0, 1024.0, 131_072.0].map(bytes), ["16 B", "1 KiB", "128 KiB"]);
        assert_eq!(megabytes(50e6), "50");
        assert_eq!([0.0, 2.0, 4.0].map(percent), ["50 %", "99 %", "99.99 %"]);
    }

    #[test]
    fn linear_ticks_are_round_and_begin_at_zero() {
        assert_eq!(linear_ticks(100.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(linear_ticks(0.5), [0.0, 0.1, 0.2, 0.30000000000000004, 0.4, 0.5]);
    }

    #[test]
    fn a_log_axis_has_room_at_both_ends_and_ticks_in_it() {
        let range = LOG.range([10.0, 1000.0]);
        assert!(range.start < 1.0 && range.end > 3.0);
        let ticks: Vec<String> =
            LOG.ticks(&range).into_iter().map(|place| LOG.tick_text(place)).collect();
        assert_eq!(ticks, ["10", "20", "50", "100", "200", "500", "1,000"]);
    }
}
