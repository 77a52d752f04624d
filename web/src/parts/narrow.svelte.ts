// Whether the window is as narrow as a phone's, where rows have two lines.
class Narrow {
  is = $state(false);
  constructor() {
    const size = matchMedia("(max-width: 760px)");
    this.is = size.matches;
    size.addEventListener("change", () => (this.is = size.matches));
  }
}
export const narrow = new Narrow();
