// What is too faint to read on the page as it is shown: a list of sentences.
() => {
  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) =>
    0.2126 * channel(red / 255) + 0.7152 * channel(green / 255) + 0.0722 * channel(blue / 255);
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const [red, green, blue, alpha = 1] = numbers(getComputedStyle(each).backgroundColor);
      if (alpha === 1) return [red, green, blue];
    }
    return [255, 255, 255];
  };
  const isLarge = ({ fontSize, fontWeight }) =>
    parseFloat(fontSize) >= 24 || (parseFloat(fontSize) >= 18.66 && fontWeight >= 700);
  const shown = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const faint = [];

  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || !shown(element) || element.disabled || element.closest(".unseen, video")) continue;
    const style = getComputedStyle(element);
    const found = ratio(numbers(style.color), ground(element));
    if (found < (isLarge(style) ? 3 : 4.5)) faint.push(`${found.toFixed(2)} ${text.data.trim()}`);
  }
  for (const input of document.querySelectorAll("input[type=number], textarea, select")) {
    if (!shown(input)) continue;
    const style = getComputedStyle(input);
    const border = ratio(numbers(style.borderTopColor), ground(input.parentElement));
    if (border < 3) faint.push(`${border.toFixed(2)} the border of ${input.name}`);
    if (!input.placeholder) continue;
    const placeholder = getComputedStyle(input, "::placeholder");
    const found = ratio(numbers(placeholder.color), ground(input));
    if (found < 4.5) faint.push(`${found.toFixed(2)} ${input.placeholder}`);
  }
  return faint;
}
