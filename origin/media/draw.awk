# Draws the picture of one feed as SVG frames: awk -v feed=world-feed -v dir=DIR -f draw.awk
# Everything moves with a period that divides 24 s, so that the loop has no seam.
# Text that differs between renditions (name, rendition, clock) is burnt in later by make.sh.

BEGIN {
    PI = 3.14159265358979; TAU = 2 * PI; FPS = 25; LOOP = 24
    CYAN = "#35c9f5"; VIOLET = "#b18cff"
    for (f = 0; f < FPS * LOOP; f++) {
        OUT = sprintf("%s/%04d.svg", dir, f)
        t = f / FPS
        put("<svg xmlns='http://www.w3.org/2000/svg' width='1280' height='720' viewBox='0 0 1280 720' font-family='DejaVu Sans' font-weight='bold'>")
        if (feed == "world-feed") world()
        else if (feed == "onboard-7") onboard(CYAN, "7", 0, 1)
        else if (feed == "onboard-22") onboard(VIOLET, "22", 5, -1)
        else pitlane()
        put("</svg>")
        close(OUT)
    }
}

function put(s) { print s > OUT }
function rect(x, y, w, h, fill, more) { put(sprintf("<rect x='%.2f' y='%.2f' width='%.2f' height='%.2f' fill='%s' %s/>", x, y, w, h, fill, more)) }
function disc(x, y, r, fill, more) { put(sprintf("<circle cx='%.2f' cy='%.2f' r='%.2f' fill='%s' %s/>", x, y, r, fill, more)) }
function text(x, y, size, fill, s, more) { put(sprintf("<text x='%.2f' y='%.2f' font-size='%d' fill='%s' %s>%s</text>", x, y, size, fill, more, s)) }
function quad(a, b, c, d, e, f2, g, h, fill) { put(sprintf("<polygon points='%.2f,%.2f %.2f,%.2f %.2f,%.2f %.2f,%.2f' fill='%s'/>", a, b, c, d, e, f2, g, h, fill)) }
function line(a, b, c, d, stroke, w, more) { put(sprintf("<line x1='%.2f' y1='%.2f' x2='%.2f' y2='%.2f' stroke='%s' stroke-width='%.2f' %s/>", a, b, c, d, stroke, w, more)) }
function mod(a, b) { return a - b * int(a / b) }
function clamp(v, lo, hi) { return v < lo ? lo : v > hi ? hi : v }
function smooth(v) { v = clamp(v, 0, 1); return v * v * (3 - 2 * v) }

# ---- World feed: the circuit from above, ten cars, a tower -------------------------------------

function tx(p) { return 768 + 365 * cos(p) + 84 * cos(2 * p + 0.7) + 58 * cos(3 * p + 2.2) }
function ty(p) { return 420 + 178 * sin(p) + 62 * sin(2 * p + 1.9) + 46 * sin(3 * p + 0.4) }
function track_path(  k, d, p) {
    d = ""
    for (k = 0; k < 240; k++) { p = k / 240 * TAU; d = d sprintf("%s%.1f,%.1f ", k ? "L" : "M", tx(p), ty(p)) }
    return d "Z"
}
function world(  d, k, p, q, n, c, a, i, x, y) {
    put("<defs><radialGradient id='g' cx='.6' cy='.55' r='.8'><stop offset='0' stop-color='#1b2230'/><stop offset='1' stop-color='#0c1018'/></radialGradient></defs>")
    rect(0, 0, 1280, 720, "url(#g)")
    for (k = 0; k < 9; k++) line(330 + k * 118, 120, 330 + k * 118, 720, "#202837", 1)
    for (k = 0; k < 5; k++) line(300, 180 + k * 118, 1280, 180 + k * 118, "#202837", 1)
    d = track_path()
    put("<g fill='none' stroke-linejoin='round'>")
    put(sprintf("<path d='%s' stroke='#ffb020' stroke-width='48' stroke-opacity='.16'/>", d))
    put(sprintf("<path d='%s' stroke='#e8ebf2' stroke-width='38'/>", d))
    put(sprintf("<path d='%s' stroke='#e4572e' stroke-width='38' stroke-dasharray='18 18'/>", d))
    put(sprintf("<path d='%s' stroke='#343d4f' stroke-width='31'/></g>", d))
    # The line.
    for (k = 0; k < 6; k++) for (i = 0; i < 2; i++) rect(tx(1.15) - 8 + i * 8, ty(1.15) - 15 + k * 5, 8, 5, (k + i) % 2 ? "#e8ebf2" : "#10141c")
    split("7 22 31 4 58 12 66 9 40 17", n, " ")
    split(CYAN " " VIOLET " #ffb020 #ff6b5a #6ee08a #f2f4f8 #ff8fc7 #4f8dff #d9e05a #9aa4b8", c, " ")
    for (k = 10; k >= 1; k--) {
        p = TAU * t / 12 - (k - 1) * 0.235 - (k % 3) * 0.05 + 0.10 * sin(TAU * t / 24 + k * 1.7)
        for (i = 7; i >= 1; i--) {
            q = p - i * 0.016
            disc(tx(q), ty(q), 6 - i * 0.5, c[k], sprintf("fill-opacity='%.2f'", 0.34 - i * 0.04))
        }
        x = tx(p); y = ty(p); a = atan2(ty(p + 0.01) - y, tx(p + 0.01) - x) * 360 / TAU
        put(sprintf("<g transform='translate(%.2f %.2f) rotate(%.2f)'>", x, y, a))
        rect(-15, -8, 30, 16, "#0c1018", "rx='6'")
        rect(-13, -6, 26, 12, c[k], "rx='5'")
        rect(-2, -3.5, 7, 7, "#0c1018", "rx='3'")
        put("</g>")
        if (k <= 2) {
            rect(x - 22, y - 50, 44, 26, c[k], "rx='6'")
            text(x, y - 30, 20, "#0c1018", n[k], "text-anchor='middle'")
        }
    }
    # The tower.
    rect(48, 150, 208, 500, "#0a0d14", "rx='14' fill-opacity='.82'")
    for (k = 1; k <= 10; k++) {
        y = 164 + (k - 1) * 48
        if (k <= 2) rect(56, y - 2, 192, 42, c[k], "rx='8' fill-opacity='.14'")
        text(90, y + 27, 22, "#8f9aae", k, "text-anchor='end'")
        rect(104, y + 6, 8, 26, c[k], "rx='3'")
        text(126, y + 28, 24, "#eef1f6", n[k])
        a = 34 + 26 * sin(TAU * (t + k * 1.9) / 12)
        rect(180, y + 16, 62, 6, "#252d3c", "rx='3'")
        rect(180, y + 16, clamp(a, 6, 62), 6, c[k], "rx='3'")
    }
}

# ---- Onboard: the road ahead, seen over the nose -----------------------------------------------

function bend(s, ph, sg) { s = s / 960 * TAU; return sg * (0.0024 * sin(2 * s + ph) + 0.0036 * sin(3 * s + 1 + ph) + 0.0024 * sin(7 * s + 2)) }
function onboard(accent, number, ph, sg,  s, z, k, n, X, dX, zi, Z, C, y1, y2, w1, w2, odd, head, i, v, x, y, u, ax, lit) {
    s = t * 40                                 # 40 units a second: 960 a loop
    put("<defs><linearGradient id='s' x1='0' y1='0' x2='0' y2='1'><stop offset='0' stop-color='#0b1020'/><stop offset='1' stop-color='#2a3350'/></linearGradient>")
    put(sprintf("<radialGradient id='h' cx='.5' cy='1' r='.7'><stop offset='0' stop-color='%s' stop-opacity='.50'/><stop offset='1' stop-color='%s' stop-opacity='0'/></radialGradient></defs>", accent, accent))
    rect(0, 0, 1280, 352, "url(#s)")
    rect(0, 120, 1280, 232, "url(#h)")
    # Hills turn with the heading, the integral of the bends.
    head = sg * (-0.0024 / 2 * cos(2 * s / 960 * TAU + ph) - 0.0036 / 3 * cos(3 * s / 960 * TAU + 1 + ph) - 0.0024 / 7 * cos(7 * s / 960 * TAU + 2)) * 960 / TAU
    for (i = 0; i < 2; i++) {
        x = "M0,352 "
        for (k = 0; k <= 64; k++) {
            u = k * 20 + head * (i ? 760 : 480)
            x = x sprintf("L%d,%.1f ", k * 20, i ? 338 - 12 * sin(u / 90) - 9 * sin(u / 37 + ph) : 300 - 26 * sin(u / 170 + ph) - 14 * sin(u / 61))
        }
        put("<path d='" x "L1280,352Z' fill='" (i ? "#121829" : "#1a2238") "'/>")
    }
    rect(0, 350, 1280, 370, "#141a22")
    # Boundaries of the stripes, near to far, with the accumulated lateral offset.
    n = 0; z = 1; X = 0; dX = 0; Z[0] = 1; C[0] = 0
    zi = 4 - mod(s, 4)
    for (k = 0; k < 30; k++) {
        u = 1 + zi + k * 4
        while (z + 1 < u) { dX += bend(s + z, ph, sg); X += dX; z += 1 }
        n++; Z[n] = u; C[n] = X + dX * (u - z)
    }
    odd = int(s / 4 + 0.0001) % 2
    for (k = n; k >= 1; k--) {
        y1 = 350 + 370 / Z[k]; y2 = 350.8 + 370 / Z[k - 1]      # overlap: no hairline between stripes
        w1 = 720 / Z[k]; w2 = 720 / Z[k - 1]
        x = 640 + C[k] * w1; u = 640 + C[k - 1] * w2
        i = (k + odd) % 2
        if (i) quad(0, y1, 1280, y1, 1280, y2, 0, y2, "#171e28")
        quad(x - w1 * 1.14, y1, x + w1 * 1.14, y1, u + w2 * 1.14, y2, u - w2 * 1.14, y2, i ? "#e9edf4" : accent)
        quad(x - w1, y1, x + w1, y1, u + w2, y2, u - w2, y2, "#2b323f")
        if (k < 20 && i) quad(x - w1 * 0.015, y1, x + w1 * 0.015, y1, u + w2 * 0.015, y2, u - w2 * 0.015, y2, "#566074")
    }
    # Lamp posts every 16 units; the rival ahead.
    for (k = n; k >= 1; k--) {
        if ((int(s / 4 + 0.0001) + k) % 4 == 0 && Z[k] > 1.3) {
            w1 = 720 / Z[k]; x = 640 + C[k] * w1; y = 350 + 370 / Z[k]
            for (i = -1; i <= 1; i += 2) {
                line(x + i * w1 * 1.5, y, x + i * w1 * 1.5, y - w1 * 0.9, "#0d1119", clamp(w1 * 0.03, 0.6, 14))
                line(x + i * w1 * 1.5, y - w1 * 0.9, x + i * w1 * 1.25, y - w1 * 0.93, "#f4f0dc", clamp(w1 * 0.035, 0.8, 16), "stroke-linecap='round'")
            }
        }
        v = 12 + 4 * sin(TAU * t / 12 + ph)
        if (k > 1 && Z[k] >= v && Z[k - 1] < v) {
            u = (v - Z[k - 1]) / (Z[k] - Z[k - 1]); w1 = 720 / v
            x = 640 + (C[k - 1] + (C[k] - C[k - 1]) * u + 0.25 * sin(TAU * t / 8)) * w1; y = 350 + 370 / v
            put(sprintf("<g transform='translate(%.2f %.2f) scale(%.3f)'>", x, y, w1 / 100))
            rect(-46, -34, 22, 34, "#07090d", "rx='5'"); rect(24, -34, 22, 34, "#07090d", "rx='5'")
            rect(-26, -26, 52, 18, "#1a2130", "rx='4'"); rect(-13, -44, 26, 24, "#ffb020", "rx='6'")
            rect(-40, -58, 80, 9, "#ffb020", "rx='3'"); rect(-40, -58, 5, 26, "#c98410"); rect(35, -58, 5, 26, "#c98410")
            rect(-4, -22, 8, 10, (f % 10 < 5) ? "#ff3b30" : "#5a1512", "rx='2'")
            put("</g>")
        }
    }
    # Our own nose and front wheels.
    v = bend(s + 6, ph, sg) * 2400
    for (i = -1; i <= 1; i += 2) {
        line(640 + i * 40, 640, 640 + i * 268, 606, "#0a0d13", 9); line(640 + i * 52, 676, 640 + i * 268, 640, "#0a0d13", 9)
        put(sprintf("<g transform='translate(%.1f 618) skewX(%.2f) translate(%.1f 0)'>", 640 + i * 316, -v, 0))
        rect(-52, -92, 104, 200, "#0b0d12", "rx='26'"); rect(-30, -92, 60, 200, "#15181f", "rx='20'")
        rect(i > 0 ? -52 : 42, -70, 10, 150, accent, "rx='5' fill-opacity='.85'")
        put("</g>")
    }
    put("<path d='M612,540 Q640,520 668,540 L748,720 L532,720Z' fill='#10151f'/>")
    put(sprintf("<path d='M630,534 Q640,528 650,534 L676,720 L604,720Z' fill='%s'/>", accent))
    text(640, 690, 36, "#0b0e14", number, "text-anchor='middle'")
    # The dash: revs, gear, speed.
    u = mod(t, 6) / 6; i = 3 + int(mod(t, 24) / 6 + 0.0001) % 2 + int(u * 3)
    v = 0.45 + 0.55 * mod(u * 3, 1)
    rect(48, 560, 216, 108, "#0a0d14", "rx='14' fill-opacity='.86'")
    for (k = 0; k < 10; k++) {
        lit = v * 10 > k
        rect(64 + k * 19, 576, 14, 14, lit ? (k < 5 ? "#6ee08a" : k < 8 ? accent : "#ff6b5a") : "#232b39", "rx='4'")
    }
    text(66, 648, 46, "#eef1f6", i)
    text(250, 646, 40, "#eef1f6", int(150 + (i - 3) * 38 + 60 * v), "text-anchor='end'")
    text(112, 645, 16, "#8f9aae", "km/h")
}

# ---- Pit lane: two stops every loop ------------------------------------------------------------

function crew(x, y, c, busy) {
    rect(x - 11, y - 62 + busy, 22, 40 - busy / 2, c, "rx='9'")
    rect(x - 9, y - 26, 7, 26, "#0d1119", "rx='3'"); rect(x + 2, y - 26, 7, 26, "#0d1119", "rx='3'")
    disc(x, y - 72 + busy, 11, "#eef1f6"); rect(x - 11, y - 76 + busy, 22, 8, "#0d1119", "rx='3'")
}
function car(x, y, c, num, roll,  i, k) {
    put(sprintf("<g transform='translate(%.2f %.2f)'>", x, y))
    put("<ellipse cx='0' cy='30' rx='190' ry='9' fill='#05070a' fill-opacity='.55'/>")
    put(sprintf("<path d='M-168,8 L-168,-46 L-120,-46 L-120,-30 L-58,-44 L-26,-58 L-2,-58 L8,-40 L40,-34 L178,0 L196,2 L196,12 L-150,14Z' fill='%s'/>", c))
    put("<path d='M-14,-40 Q20,-66 52,-32' fill='none' stroke='#0d1119' stroke-width='7'/>")
    disc(14, -42, 12, "#eef1f6"); rect(-40, -10, 120, 12, "#0d1119", "rx='5' fill-opacity='.55'")
    text(-66, -12, 26, "#0b0e14", num, "text-anchor='middle'")
    for (i = -1; i <= 1; i += 2) {
        disc(i * 118, 0, 31, "#07090d"); disc(i * 118, 0, 17, "#2a3140")
        for (k = 0; k < 3; k++) line(i * 118 + 15 * cos(roll + k * PI / 3), 15 * sin(roll + k * PI / 3), i * 118 - 15 * cos(roll + k * PI / 3), -15 * sin(roll + k * PI / 3), "#8f9aae", 3)
    }
    put("</g>")
}
# One stop, s seconds after the car came into the lane: in 4 s, still 3.2 s, out 4 s.
function stop_x(s) { return s < 4 ? 640 - 900 * (1 - s / 4) ^ 2 : s < 7.2 ? 640 : 640 + 900 * ((s - 7.2) / 4) ^ 2 }
function pitlane(  k, x, s, c, num, still, done, busy, i, col) {
    put("<defs><linearGradient id='w' x1='0' y1='0' x2='0' y2='1'><stop offset='0' stop-color='#f3ead2' stop-opacity='.85'/><stop offset='1' stop-color='#53606f' stop-opacity='.35'/></linearGradient></defs>")
    rect(0, 0, 1280, 720, "#0d121b")
    rect(0, 150, 1280, 52, "#1a2231")
    split("#4f8dff " CYAN " #6ee08a " VIOLET " #ffb020", col, " ")
    for (k = 0; k < 5; k++) {
        x = k * 256 + 14
        rect(x, 202, 228, 278, "#10161f")
        rect(x + 10, 216, 208, 264, "url(#w)", "fill-opacity='.55'")
        rect(x + 10, 216, 208, 14, "#fff6dd", "fill-opacity='.8'")
        rect(x + 30, 330, 60, 150, "#182030", "rx='6'"); rect(x + 100, 372, 98, 108, "#202a3b", "rx='6'")
        rect(x + 112, 384, 74, 34, "#0b1017", "rx='4'")
        for (i = 0; i < 5; i++) rect(x + 118 + i * 13, 412 - (10 + 8 * sin(TAU * (t + k * 1.3 + i) / 4)), 8, 10 + 8 * sin(TAU * (t + k * 1.3 + i) / 4), col[k + 1])
        rect(x, 168, 228, 20, col[k + 1], "rx='4'")
        rect(x + mod(t * 57 + k * 40, 228) * 0.88, 168, 26, 20, "#ffffff", "rx='4' fill-opacity='.35'")
    }
    rect(0, 480, 1280, 240, "#1c2330"); rect(0, 480, 1280, 6, "#2c3647")
    rect(0, 662, 1280, 8, "#e8ebf2"); rect(0, 670, 1280, 50, "#252d3c")
    rect(452, 566, 400, 5, "#ffd34d"); rect(452, 626, 400, 5, "#ffd34d"); rect(452, 566, 5, 65, "#ffd34d"); rect(847, 566, 5, 65, "#ffd34d")
    # Two cars stop, one in each half of the loop.
    s = mod(t, 12); c = t < 12 ? CYAN : VIOLET; num = t < 12 ? "7" : "22"
    still = s >= 4 && s < 7.2; done = s >= 7.2
    busy = still ? 14 + 5 * sin(TAU * t * 1.25) : 0
    crew(500, 548, c, busy); crew(560, 540, c, 0); crew(740, 540, c, 0); crew(800, 548, c, busy)
    if (s < 11.2) car(stop_x(s), 592, c, num, stop_x(s) / 31)
    crew(452, 660, c, still ? busy : 0); crew(846, 660, c, still ? busy : 0)
    crew(876, 664, "#ffb020", 0)
    # Gantry: stop timer and lights.
    rect(524, 96, 232, 92, "#080b11", "rx='14'"); rect(524, 96, 232, 92, "none", "rx='14' stroke='#2c3647' stroke-width='3'")
    text(616, 160, 50, done ? "#6ee08a" : "#eef1f6", sprintf("%.1f", clamp(s - 4, 0, 3.2)), "text-anchor='middle'")
    disc(710, 124, 16, done ? "#2a1514" : (still ? "#ff4b3e" : "#5a1f1a")); disc(710, 162, 16, done ? "#6ee08a" : "#16301d")
    for (k = 0; k < 16; k++) rect(k * 80 + 24, 690, 32, 8, "#7ee36b", sprintf("rx='4' fill-opacity='%.2f'", 0.25 + 0.6 * (int(t * 4 + 0.0001) % 16 == k)))
}
