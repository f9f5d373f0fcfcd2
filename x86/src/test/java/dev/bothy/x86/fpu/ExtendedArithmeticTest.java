package dev.bothy.x86.fpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import java.util.function.DoubleBinaryOperator;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;

/** With a precision of 53 bits the unit computes as Java's doubles do, far from their limits. */
final class ExtendedArithmeticTest {
  private static final int CONTROL = Extended.PRECISION_53 | Extended.EXCEPTIONS;
  private static final int ROUNDS = 100_000;

  private interface Operation {
    void apply(Extended r, int control, long sa, int ea, long sb, int eb);
  }

  private interface Function {
    void apply(Extended r, int control, long s, int e);
  }

  private final SplittableRandom random = new SplittableRandom(3);
  private final Extended a = new Extended();
  private final Extended b = new Extended();
  private final Extended r = new Extended();

  /** Of magnitude 2^-100 to 2^100, often with few bits, so that ties and exact results happen. */
  private double operand() {
    long fraction = random.nextLong() << random.nextInt(53) & (1L << 52) - 1;
    long exponent = 1023 - 100 + random.nextInt(201);
    return Double.longBitsToDouble(random.nextLong() & 1L << 63 | exponent << 52 | fraction);
  }

  private double value(Extended x) {
    return Double.longBitsToDouble(
        ExtendedConversion.toDouble(new Extended(), CONTROL, x.significand, x.exponent));
  }

  private void check(DoubleBinaryOperator expected, Operation operation) {
    for (int i = 0; i < ROUNDS; i++) {
      double x = operand();
      double y = random.nextInt(4) == 0 ? -x * (1 + random.nextInt(9)) : operand();
      ExtendedConversion.fromDouble(a, Double.doubleToRawLongBits(x));
      ExtendedConversion.fromDouble(b, Double.doubleToRawLongBits(y));
      operation.apply(r, CONTROL, a.significand, a.exponent, b.significand, b.exponent);
      assertEquals(expected.applyAsDouble(x, y), value(r), () -> x + ", " + y);
    }
  }

  @Test
  void addsAsJavaDoes() {
    check(Double::sum, ExtendedArithmetic::add);
  }

  @Test
  void subtractsAsJavaDoes() {
    check((x, y) -> x - y, ExtendedArithmetic::subtract);
  }

  @Test
  void multipliesAsJavaDoes() {
    check((x, y) -> x * y, ExtendedArithmetic::multiply);
  }

  @Test
  void dividesAsJavaDoes() {
    check((x, y) -> x / y, ExtendedArithmetic::divide);
  }

  @Test
  void takesSquareRootsAsJavaDoes() {
    for (int i = 0; i < ROUNDS; i++) {
      double x = Math.abs(operand());
      ExtendedConversion.fromDouble(a, Double.doubleToRawLongBits(x));
      ExtendedArithmetic.squareRoot(r, CONTROL, a.significand, a.exponent);
      assertEquals(Math.sqrt(x), value(r), () -> "√" + x);
    }
  }

  @Test
  void takesRemaindersAsJavaDoes() {
    for (int i = 0; i < ROUNDS; i++) {
      double x = operand();
      double y = x * (random.nextDouble() - 0.5) * (1 << random.nextInt(4));
      ExtendedConversion.fromDouble(a, Double.doubleToRawLongBits(x));
      ExtendedConversion.fromDouble(b, Double.doubleToRawLongBits(y));
      r.flags = 0;
      ExtendedArithmetic.remainder(
          r, CONTROL, false, a.significand, a.exponent, b.significand, b.exponent);
      if ((r.flags & Extended.C2) == 0) {
        assertEquals(x % y, value(r), () -> x + " % " + y);
      }
      r.flags = 0;
      ExtendedArithmetic.remainder(
          r, CONTROL, true, a.significand, a.exponent, b.significand, b.exponent);
      if ((r.flags & Extended.C2) == 0) {
        assertEquals(Math.IEEEremainder(x, y), value(r), () -> "remainder of " + x + ", " + y);
      }
    }
  }

  private void checkClose(double from, double to, DoubleUnaryOperator expected, Function function) {
    for (int i = 0; i < 500; i++) {
      double x = from + random.nextDouble() * (to - from);
      ExtendedConversion.fromDouble(a, Double.doubleToRawLongBits(x));
      function.apply(r, CONTROL, a.significand, a.exponent);
      double e = expected.applyAsDouble(x);
      assertTrue(
          Math.abs(value(r) - e) <= 8 * Math.ulp(e), () -> x + ": " + value(r) + " for " + e);
    }
  }

  @Test
  void transcendentalFunctionsAreThoseOfMathematics() {
    checkClose(-1.5, 1.5, Math::sin, ExtendedTranscendental::sine);
    checkClose(-1.5, 1.5, Math::cos, ExtendedTranscendental::cosine);
    checkClose(
        -1.5,
        1.5,
        Math::tan,
        (out, control, s, e) -> ExtendedTranscendental.tangent(out, b, control, s, e));
    checkClose(-1, 1, x -> Math.expm1(x * Math.log(2)), ExtendedTranscendental::exp2Minus1);
    checkClose(
        1.5,
        1e6,
        x -> Math.log(x) / Math.log(2),
        (out, control, s, e) ->
            ExtendedTranscendental.yLog2(out, control, s, e, Extended.INTEGER_BIT, Extended.BIAS));
    checkClose(
        -0.25,
        0.25,
        x -> Math.log1p(x) / Math.log(2),
        (out, control, s, e) ->
            ExtendedTranscendental.yLog2Plus1(
                out, control, s, e, Extended.INTEGER_BIT, Extended.BIAS));
    checkClose(
        -50,
        50,
        Math::atan,
        (out, control, s, e) ->
            ExtendedTranscendental.arctangent(
                out, control, s, e, Extended.INTEGER_BIT, Extended.BIAS));
  }
}
