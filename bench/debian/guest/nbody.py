"""Five bodies under gravity: the outer planets, stepped by a leapfrog."""
import math
import sys

# Position in astronomical units, velocity in those a day, mass in the sun's.
BODIES = [
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], 1.0],
    [[5.0, 1.2, -0.1], [-0.0017, 0.0072, 0.00001], 0.00095],
    [[-6.5, 6.6, 0.2], [-0.0041, -0.0036, 0.0002], 0.00029],
    [[13.5, -13.8, -0.2], [0.0027, 0.0025, -0.00003], 0.000044],
    [[15.0, -26.0, 0.2], [0.0026, 0.0016, -0.0001], 0.000052],
]
GRAVITY = 0.000295912208286


def kick(step):
    for i, (p, v, m) in enumerate(BODIES):
        for q, w, n in BODIES[i + 1 :]:
            x, y, z = p[0] - q[0], p[1] - q[1], p[2] - q[2]
            square = x * x + y * y + z * z
            pull = step * GRAVITY / (square * math.sqrt(square))
            v[0] -= x * n * pull
            v[1] -= y * n * pull
            v[2] -= z * n * pull
            w[0] += x * m * pull
            w[1] += y * m * pull
            w[2] += z * m * pull


def drift(step):
    for p, v, _ in BODIES:
        p[0] += step * v[0]
        p[1] += step * v[1]
        p[2] += step * v[2]


for _ in range(int(sys.argv[1])):
    drift(0.25)
    kick(0.5)
    drift(0.25)
print(" ".join("%.9f" % x for p, _, _ in BODIES for x in p))
