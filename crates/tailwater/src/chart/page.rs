//! A chart as a web page that works without a network: plotly.js is in it.

use event::Time;
use plotly::color::Rgb;
use plotly::common::{Font, Marker, Mode, Title};
use plotly::layout::{Axis, AxisType, BarMode, Legend};
use plotly::{Bar, Configuration, Layout, Plot, Scatter, Trace};

use super::picture::colour;
use super::{Chart, Heading, Series, Unit, ticks};
use crate::output::harmless;
use crate::plotly_js::plotly_js;

/// The chart as one file of HTML; without a size it fills the window.
#[must_use]
pub(crate) fn html(chart: &Chart, heading: &Heading, size: (Option<u32>, Option<u32>)) -> String {
    let mut plot = Plot::new();
    for (number, series) in chart.series.iter().enumerate() {
        plot.add_trace(trace(chart, number, series));
    }
    plot.set_layout(layout(chart, heading, size));
    plot.set_configuration(Configuration::new().responsive(true).display_logo(false));
    // IMPORTANT: a name may be anything, the end of a script too. In JSON this letter is in texts only.
    let data = plot.to_json().replace('<', "\\u003c");
    let title = escaped(&heading.title);
    let plotly = plotly_js();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style>html, body, #chart {{ height: 100%; margin: 0; }}</style>\n<script>{plotly}</script>\n</head>\n<body>\n\
         <div id=\"chart\"></div>\n<script>Plotly.newPlot(\"chart\", {data});</script>\n</body>\n</html>\n"
    )
}

fn trace(chart: &Chart, number: usize, series: &Series) -> Box<dyn Trace> {
    let colour = Rgb::new(colour(number).0, colour(number).1, colour(number).2);
    let time = |bucket: usize| chart.starts.get(bucket).copied().unwrap_or(chart.end);
    let mut points: Vec<(Time, Option<f64>)> = Vec::new();
    for run in series.runs() {
        // NOTE: a point without a value breaks the line.
        if let Some((first, _)) = run.first().filter(|_| !points.is_empty()) {
            points.push((time(first - 1), None));
        }
        points.extend(run.iter().map(|(bucket, value)| (time(*bucket), Some(*value))));
    }
    let text = |value: &Option<f64>| value.map(|value| chart.measure.unit.show(value)).unwrap_or_default();
    let texts: Vec<String> = points.iter().map(|(_, value)| text(value)).collect();
    let (times, values): (Vec<Time>, Vec<Option<f64>>) = points.into_iter().unzip();
    let name = escaped(&series.name);
    if !chart.measure.adds_up {
        let times: Vec<String> = times.iter().map(Time::to_string).collect();
        return Scatter::new(times, values)
            .name(name)
            .mode(Mode::LinesMarkers)
            .marker(Marker::new().color(colour).size(4))
            .connect_gaps(false)
            .text_array(texts)
            .hover_template("%{x}: %{text}");
    }
    // NOTE: a bar has its middle at its time.
    let middle = |time: &Time| {
        let end = chart.starts.iter().find(|start| *start > time).copied().unwrap_or(chart.end);
        time.plus_micros((end.micros() - time.micros()) / 2).to_string()
    };
    Bar::new(times.iter().map(middle).collect(), values)
        .name(name)
        .marker(Marker::new().color(colour))
        .text_array(texts)
        .text_position(plotly::common::TextPosition::None)
        .hover_template("%{text}")
}

fn layout(chart: &Chart, heading: &Heading, (width, height): (Option<u32>, Option<u32>)) -> Layout {
    let title = format!("{}<br><sub>{}</sub>", escaped(&heading.title), escaped(&heading.subtitle));
    let ends = [chart.starts.first().copied().unwrap_or(chart.end), chart.end].map(|time| time.to_string());
    let times = Axis::new().title("time (UTC)").type_(AxisType::Date).range(ends.to_vec());
    let mut layout = Layout::new()
        .title(Title::with_text(title))
        .font(Font::new().family("DejaVu Sans, Verdana, sans-serif"))
        .bar_mode(BarMode::Stack)
        .show_legend(true)
        .legend(Legend::new())
        .x_axis(times)
        .y_axis(numbers(chart));
    if let Some(width) = width {
        layout = layout.width(width as usize);
    }
    if let Some(height) = height {
        layout = layout.height(height as usize);
    }
    layout
}

fn numbers(chart: &Chart) -> Axis {
    let unit = chart.measure.unit;
    let marks = ticks::of_numbers(chart.greatest(), unit, 8);
    let axis = Axis::new().title(unit.word()).range(vec![0.0, marks.end]);
    match unit {
        Unit::Percent => axis.tick_suffix(" %"),
        Unit::Dollars => axis.tick_prefix("$"),
        Unit::Tokens | Unit::Count => axis.tick_format("~s"),
        // NOTE: plotly.js knows no powers of 1024.
        Unit::Bytes | Unit::BytesPerSecond => axis.tick_values(marks.at).tick_text(marks.labels),
    }
}

/// Text in HTML; plotly.js reads some of it in names as well.
fn escaped(text: &str) -> String {
    harmless(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
