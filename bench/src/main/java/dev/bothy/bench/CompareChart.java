package dev.bothy.bench;

import dev.bothy.bench.Subject.Kind;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * Bars, on a logarithmic axis: how many times longer than natively each workload takes with one
 * processor; where there are no native times, than under TCG.
 */
final class CompareChart {
  private static final int LEFT = 290;
  private static final int WIDTH = 560;
  private static final int TOP = 70;
  private static final int BAR = 11;
  private static final int STEP = 46;
  private static final String[] COLOURS = {"#5b8c5a", "#c0703a", "#3b6ea5", "#8fb3d9"};

  private final List<Workload> workloads;
  private final Times times;
  private final Kind base;

  CompareChart(List<Workload> workloads, Times times) {
    this.workloads = workloads;
    this.times = times;
    this.base = measured(Kind.NATIVE) ? Kind.NATIVE : Kind.TCG;
  }

  private boolean measured(Kind kind) {
    return workloads.stream().anyMatch(w -> !Double.isNaN(times.median(kind, 1, w)));
  }

  String svg() {
    List<Kind> bars =
        Stream.of(Kind.TCG, Kind.BOTHY, Kind.BOTHY_AGAIN)
            .filter(k -> k != base && measured(k))
            .toList();
    int low = 0;
    int high = 1;
    for (Workload workload : workloads) {
      for (Kind kind : bars) {
        double ratio = times.ratio(kind, base, 1, workload);
        if (Double.isFinite(ratio) && ratio > 0) {
          low = Math.min(low, (int) Math.floor(Math.log10(ratio)));
          high = Math.max(high, (int) Math.ceil(Math.log10(ratio)));
        }
      }
    }
    int bottom = TOP + STEP * workloads.size();
    StringBuilder svg = new StringBuilder();
    svg.append(
        """
        <svg xmlns="http://www.w3.org/2000/svg" width="%1$d" height="%2$d" viewBox="0 0 %1$d %2$d"\
         font-family="sans-serif" font-size="13" fill="#222">
        <rect width="100%%" height="100%%" fill="#fff"/>
        """
            .formatted(LEFT + WIDTH + 70, bottom + 40));
    text(
        svg,
        16,
        24,
        "start",
        "Time compared with "
            + (base == Kind.NATIVE ? "native" : "TCG")
            + ", one processor: shorter is better");
    int legend = LEFT;
    for (Kind kind : bars) {
      bar(svg, legend, 38, 14, COLOURS[kind.ordinal()]);
      text(svg, legend + 20, 48, "start", kind.label);
      legend += 120;
    }
    for (int decade = low; decade <= high; decade++) {
      int x = LEFT + WIDTH * (decade - low) / (high - low);
      svg.append(
          "<line x1=\"%1$d\" y1=\"%2$d\" x2=\"%1$d\" y2=\"%3$d\" stroke=\"#ccc\"/>\n"
              .formatted(x, TOP - 6, bottom));
      text(svg, x, bottom + 18, "middle", times(Math.pow(10, decade)));
    }
    int y = TOP;
    for (Workload workload : workloads) {
      text(svg, LEFT - 10, y + BAR + 4, "end", workload.what());
      int at = y;
      for (Kind kind : bars) {
        double ratio = times.ratio(kind, base, 1, workload);
        if (Double.isFinite(ratio) && ratio > 0) {
          int width = (int) Math.round(WIDTH * (Math.log10(ratio) - low) / (high - low));
          bar(svg, LEFT, at, Math.max(1, width), COLOURS[kind.ordinal()]);
          text(svg, LEFT + width + 5, at + BAR - 1, "start", times(ratio));
        }
        at += BAR + 2;
      }
      y += STEP;
    }
    return svg.append("</svg>\n").toString();
  }

  private static void bar(StringBuilder svg, int x, int y, int width, String colour) {
    svg.append(
        "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n"
            .formatted(x, y, width, BAR, colour));
  }

  private static void text(StringBuilder svg, int x, int y, String anchor, String text) {
    svg.append(
        "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>\n"
            .formatted(x, y, anchor, text.replace("&", "&amp;").replace("<", "&lt;")));
  }

  private static String times(double ratio) {
    return String.format(Locale.ROOT, ratio < 10 && ratio % 1 != 0 ? "%.1f×" : "%.0f×", ratio);
  }
}
