// The map: points drawn by WebGL, or in two dimensions where a browser has none.
//
// Plotly's WebGL compiles its shaders' calls from text (`new Function`), which the explorer's
// Content-Security-Policy forbids, so the map draws its points itself. Dash sends what to draw
// (positions, diameters, colours) and is told what is pointed at, opened and chosen.
(function () {
  "use strict";
  const VERTEX = `
    attribute vec2 place; attribute float size; attribute vec3 colour;
    uniform vec2 scale, offset; uniform float zoom;
    varying vec3 shade; varying float width;
    void main() {
      gl_Position = vec4(place * scale + offset, 0.0, 1.0);
      width = size * zoom; gl_PointSize = width + 1.0; shade = colour;
    }`;
  const FRAGMENT = `
    precision mediump float; varying vec3 shade; varying float width;
    void main() {
      float r = length(gl_PointCoord - 0.5) * (width + 1.0);
      float alpha = 0.8 * (1.0 - smoothstep(0.5 * width - 0.5, 0.5 * width + 0.5, r));
      if (alpha <= 0.0) discard;
      gl_FragColor = vec4(shade * alpha, alpha);
    }`;
  const CELLS = 96;      // The grid in which the nearest point is looked up has CELLS x CELLS cells.
  const NEAR = 12;       // Pixels within which a point is pointed at.
  const views = new Map();

  function bytes(text, kind) {
    const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new kind(raw.buffer);
  }

  function compiled(gl) {
    const program = gl.createProgram();
    for (const [type, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    return program;
  }

  class MapView {
    constructor(box) {
      this.box = box;
      this.canvas = document.createElement("canvas");
      this.overlay = document.createElement("canvas");
      for (const one of [this.canvas, this.overlay]) {
        one.style.cssText = "position:absolute;inset:0;width:100%;height:100%";
        one.setAttribute("aria-hidden", "true");
        box.appendChild(one);
      }
      this.gl = this.canvas.getContext("webgl", { antialias: true, premultipliedAlpha: true });
      if (this.gl) this.prepare(); else this.flat = this.canvas.getContext("2d");
      box.dataset.drawn = this.gl ? "webgl" : "2d";
      this.centre = [0.5, 0.5];
      this.zoom = 1;
      this.lassoing = false;
      this.pointed = -1;
      this.listen();
      this.watch = new ResizeObserver(() => this.draw());
      this.watch.observe(box);
    }

    // A page that is left takes its map with it: browsers allow some sixteen contexts of WebGL.
    end() {
      clearTimeout(this.later);
      this.watch.disconnect();
      if (this.gl) this.gl.getExtension("WEBGL_lose_context")?.loseContext();
    }

    prepare() {
      const gl = this.gl;
      this.program = compiled(gl);
      gl.useProgram(this.program);
      gl.enable(gl.BLEND);
      gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
      this.buffers = { place: gl.createBuffer(), size: gl.createBuffer(), colour: gl.createBuffer() };
    }

    // What is drawn: {count, x, y (float32, 0 to 1), size, colour (3 bytes a point), number (int32)}.
    show(data) {
      const n = data.count;
      this.x = bytes(data.x, Float32Array);
      this.y = bytes(data.y, Float32Array);
      this.size = bytes(data.size, Uint8Array);
      this.colour = bytes(data.colour, Uint8Array);
      this.number = bytes(data.number, Int32Array);
      this.count = n;
      this.cells = new Map();
      const places = new Float32Array(2 * n);
      for (let k = 0; k < n; k++) {
        places[2 * k] = this.x[k];
        places[2 * k + 1] = this.y[k];
        const cell = this.cell(this.x[k], this.y[k]);
        const inside = this.cells.get(cell);
        if (inside) inside.push(k); else this.cells.set(cell, [k]);
      }
      if (this.gl) {
        this.fill("place", places, 2, this.gl.FLOAT, false);
        this.fill("size", this.size, 1, this.gl.UNSIGNED_BYTE, false);
        this.fill("colour", this.colour, 3, this.gl.UNSIGNED_BYTE, true);
      }
      this.point(-1);
      this.draw();
    }

    fill(name, values, width, type, normalised) {
      const gl = this.gl, at = gl.getAttribLocation(this.program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, width, type, normalised, 0, 0);
    }

    cell(x, y) {
      const cut = (v) => Math.max(0, Math.min(CELLS - 1, Math.floor(v * CELLS)));
      return cut(x) * CELLS + cut(y);
    }

    // Pixels of a point: the map keeps its proportions, and zoom 1 shows all of it.
    side() { return 0.94 * Math.min(this.box.clientWidth, this.box.clientHeight) * this.zoom; }
    pixel(x, y) {
      return [this.box.clientWidth / 2 + (x - this.centre[0]) * this.side(),
              this.box.clientHeight / 2 - (y - this.centre[1]) * this.side()];
    }
    place(px, py) {
      return [this.centre[0] + (px - this.box.clientWidth / 2) / this.side(),
              this.centre[1] - (py - this.box.clientHeight / 2) / this.side()];
    }

    draw() {
      if (this.waiting || this.count === undefined) return;
      this.waiting = true;
      requestAnimationFrame(() => {
        this.waiting = false;
        const ratio = window.devicePixelRatio || 1;
        const width = this.box.clientWidth, height = this.box.clientHeight;
        for (const one of [this.canvas, this.overlay]) {
          if (one.width !== Math.round(width * ratio) || one.height !== Math.round(height * ratio)) {
            one.width = Math.round(width * ratio);
            one.height = Math.round(height * ratio);
          }
        }
        const grow = Math.min(3, Math.sqrt(this.zoom)) * ratio;
        if (this.gl) this.drawGl(width, height, grow); else this.drawFlat(ratio, grow / ratio);
        this.drawOverlay(ratio);
        this.box.dataset.ready = String(this.count);
      });
    }

    drawGl(width, height, grow) {
      const gl = this.gl, side = this.side();
      const sx = 2 * side / width, sy = 2 * side / height;
      const uniform = (name) => gl.getUniformLocation(this.program, name);
      gl.viewport(0, 0, this.canvas.width, this.canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform2f(uniform("scale"), sx, sy);
      gl.uniform2f(uniform("offset"), -this.centre[0] * sx, -this.centre[1] * sy);
      gl.uniform1f(uniform("zoom"), grow);
      gl.drawArrays(gl.POINTS, 0, this.count);
    }

    drawFlat(ratio, grow) {
      const g = this.flat;
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      g.clearRect(0, 0, this.box.clientWidth, this.box.clientHeight);
      g.globalAlpha = 0.8;
      for (let k = 0; k < this.count; k++) {
        const [px, py] = this.pixel(this.x[k], this.y[k]);
        const d = this.size[k] * grow;
        g.fillStyle = `rgb(${this.colour.slice(3 * k, 3 * k + 3).join()})`;
        g.fillRect(px - d / 2, py - d / 2, d, d);
      }
    }

    drawOverlay(ratio) {
      const g = this.overlay.getContext("2d");
      const ink = getComputedStyle(this.box).color;
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      g.clearRect(0, 0, this.box.clientWidth, this.box.clientHeight);
      g.strokeStyle = ink;
      g.lineWidth = 2;
      if (this.pointed >= 0) {
        const [px, py] = this.pixel(this.x[this.pointed], this.y[this.pointed]);
        g.beginPath();
        g.arc(px, py, 9, 0, 2 * Math.PI);
        g.stroke();
      }
      if (this.line && this.line.length > 1) {
        g.setLineDash([5, 4]);
        g.beginPath();
        this.line.forEach(([x, y], k) => { const [px, py] = this.pixel(x, y); if (k) g.lineTo(px, py); else g.moveTo(px, py); });
        g.closePath();
        g.stroke();
        g.setLineDash([]);
      }
    }

    nearest(px, py) {
      if (!this.count) return -1;
      const reach = NEAR / this.side(), [x, y] = this.place(px, py);
      const from = (v) => Math.max(0, Math.floor((v - reach) * CELLS));
      const to = (v) => Math.min(CELLS - 1, Math.floor((v + reach) * CELLS));
      let best = -1, least = reach * reach;
      for (let i = from(x); i <= to(x); i++) {
        for (let j = from(y); j <= to(y); j++) {
          for (const k of this.cells.get(i * CELLS + j) || []) {
            const d = (this.x[k] - x) ** 2 + (this.y[k] - y) ** 2;
            if (d <= least) { best = k; least = d; }
          }
        }
      }
      return best;
    }

    inside() {
      const found = [], line = this.line;
      for (let k = 0; k < this.count; k++) {
        let within = false;
        for (let a = 0, b = line.length - 1; a < line.length; b = a++) {
          const [ax, ay] = line[a], [bx, by] = line[b];
          if ((ay > this.y[k]) !== (by > this.y[k]) &&
              this.x[k] < (bx - ax) * (this.y[k] - ay) / (by - ay) + ax) within = !within;
        }
        if (within) found.push(this.number[k]);
      }
      return found;
    }

    tell(part, data) { window.dash_clientside.set_props(`${this.box.id}-${part}`, { data }); }

    point(k) {
      if (k === this.pointed) return;
      this.pointed = k;
      clearTimeout(this.later);
      this.later = setTimeout(() => {
        if (k < 0) { this.tell("pointed", null); return; }
        const [px, py] = this.pixel(this.x[k], this.y[k]);
        this.tell("pointed", { number: this.number[k], x: px, y: py, width: this.box.clientWidth });
      }, 60);
      this.draw();
    }

    zoomAt(px, py, factor) {
      const before = this.place(px, py);
      this.zoom = Math.max(0.8, Math.min(400, this.zoom * factor));
      const after = this.place(px, py);
      this.centre = [this.centre[0] + before[0] - after[0], this.centre[1] + before[1] - after[1]];
      this.draw();
    }

    at(event) {
      const edge = this.box.getBoundingClientRect();
      return [event.clientX - edge.left, event.clientY - edge.top];
    }

    listen() {
      const box = this.box, fingers = new Map();
      let start = null, moved = false, apart = 0;
      box.addEventListener("wheel", (event) => {
        event.preventDefault();
        this.zoomAt(...this.at(event), Math.exp(-event.deltaY * 0.0015));
      }, { passive: false });
      box.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        box.setPointerCapture(event.pointerId);
        fingers.set(event.pointerId, this.at(event));
        start = this.at(event);
        moved = false;
        if (this.lassoing || event.shiftKey) this.line = [this.place(...start)];
      });
      box.addEventListener("pointermove", (event) => {
        const here = this.at(event);
        if (!fingers.has(event.pointerId)) { this.point(this.nearest(...here)); return; }
        fingers.set(event.pointerId, here);
        if (fingers.size === 2) {
          const [a, b] = [...fingers.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
          if (apart) this.zoomAt((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, now / apart);
          apart = now;
          moved = true;
          return;
        }
        if (Math.hypot(here[0] - start[0], here[1] - start[1]) > 3) moved = true;
        if (this.line) this.line.push(this.place(...here));
        else if (moved) {
          this.centre[0] -= (here[0] - start[0]) / this.side();
          this.centre[1] += (here[1] - start[1]) / this.side();
          start = here;
        }
        this.draw();
      });
      const end = (event) => {
        if (!fingers.delete(event.pointerId)) return;
        apart = 0;
        if (fingers.size) { // one of two was lifted: the other goes on from where it is
          start = [...fingers.values()][0];
          this.line = null;
          this.draw();
          return;
        }
        if (this.line && moved) this.tell("chosen", this.inside());
        else if (!moved && event.type === "pointerup") {
          const k = this.nearest(...this.at(event));
          if (k >= 0) this.tell("opened", this.number[k]);
        }
        this.line = null;
        this.draw();
      };
      box.addEventListener("pointerup", end);
      box.addEventListener("pointercancel", end);
      box.addEventListener("pointerleave", () => this.point(-1));
      box.addEventListener("keydown", (event) => this.key(event));
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own
      const step = 0.1 / this.zoom;
      const middle = [this.box.clientWidth / 2, this.box.clientHeight / 2];
      const pan = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
      if (pan) { this.centre[0] += pan[0]; this.centre[1] += pan[1]; }
      else if (event.key === "+" || event.key === "=") this.zoomAt(...middle, 1.3);
      else if (event.key === "-") this.zoomAt(...middle, 1 / 1.3);
      else if (event.key === "0") { this.zoom = 1; this.centre = [0.5, 0.5]; }
      else if (event.key === "Enter" && this.pointed >= 0) this.tell("opened", this.number[this.pointed]);
      else return;
      event.preventDefault();
      // With keys the point nearest to the middle is pointed at.
      let best = -1, least = Infinity;
      for (let k = 0; k < this.count; k++) {
        const d = (this.x[k] - this.centre[0]) ** 2 + (this.y[k] - this.centre[1]) ** 2;
        if (d < least) { best = k; least = d; }
      }
      this.point(best);
      this.draw();
    }
  }

  let waiting = () => {};  // ends the wait for the letter before
  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.atlas_map = {
    show(data, id) {
      const box = document.getElementById(id);
      for (const [old, view] of views) if (!old.isConnected) { view.end(); views.delete(old); }
      if (box && data) {
        if (!views.has(box)) views.set(box, new MapView(box));
        views.get(box).show(data);
      }
      return window.dash_clientside.no_update;
    },
    lasso(clicks, id) {
      const view = views.get(document.getElementById(id));
      if (view && clicks) view.lassoing = !view.lassoing;
      const on = Boolean(view && view.lassoing);
      if (view) view.box.style.cursor = on ? "crosshair" : "grab";
      return on ? "Lasso: on" : "Lasso";
    },
    // What was typed, once nothing is for a while.
    typed: (text) => new Promise((done) => {
      waiting(window.dash_clientside.no_update);
      const timer = setTimeout(() => done(text), 400);
      waiting = (answer) => { clearTimeout(timer); done(answer); };
    }),
  };
})();
