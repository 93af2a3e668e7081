import { format, summarize } from './statistics.mjs';

/** @typedef {import('./results.mjs').Measurement} Measurement */

const width = 960;
const labelWidth = 250;
const barHeight = 18;
const valueWidth = 90;

/**
 * Draws one group of bars for each measurement, each on its own scale: medians, with min and max as a line.
 * @param {Measurement[]} measurements
 */
export function drawChart(measurements) {
  /** @type {string[]} */
  const shapes = [];
  let y = 16;
  for (const { title, unit, samples } of measurements) {
    y += 22;
    shapes.push(`<text x="12" y="${y}" class="title">${escapeXml(`${title} (${unit})`)}</text>`);
    y += 8;
    const summaries = Object.entries(samples).map(([name, values]) => ({ name, ...summarize(values) }));
    const scale = (width - labelWidth - valueWidth) / Math.max(...summaries.map(({ max }) => max));
    for (const { name, min, median, max } of summaries) {
      const middle = y + barHeight / 2;
      const end = labelWidth + median * scale;
      shapes.push(
        `<text x="${labelWidth - 8}" y="${middle + 4}" class="name">${escapeXml(name)}</text>`,
        `<rect x="${labelWidth}" y="${y + 2}" width="${round(median * scale)}" height="${barHeight - 4}" class="${name === 'Fairway' ? 'own' : 'peer'}"/>`,
        `<line x1="${round(labelWidth + min * scale)}" x2="${round(labelWidth + max * scale)}" y1="${middle}" y2="${middle}"/>`,
        `<text x="${round(Math.max(end, labelWidth + max * scale) + 6)}" y="${middle + 4}" class="value">${format(median)}</text>`,
      );
      y += barHeight;
    }
    y += 10;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 8}" font-family="system-ui, sans-serif" font-size="12">
<style>
  .title { font-weight: 600; font-size: 13px }
  .name { text-anchor: end }
  .own { fill: #1a7f5a }
  .peer { fill: #9aa7b4 }
  line { stroke: #33404d; stroke-width: 1.5 }
</style>
<rect width="100%" height="100%" fill="#fff"/>
${shapes.join('\n')}
</svg>
`;
}

/** @param {number} value */
const round = (value) => Math.round(value * 10) / 10;

/** @param {string} text */
const escapeXml = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
